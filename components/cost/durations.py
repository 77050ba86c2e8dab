"""How long stages took on this machine, against what was expected of them: what the next estimate is corrected by.

The ratio outlives a change of settings: a machine that needs twice the time for a small corpus does so for a large one.
"""

import json
from contextlib import suppress

from components.core.files import write_atomically
from components.training.engine import pace

FOLDER = pace.FOLDER / "stages"


def remember(stage: str, seconds: float, expected: float) -> None:
    """Keep what a stage took when it ended well. `expected` is the estimate that knew nothing of earlier runs."""
    write_atomically(FOLDER / f"{stage}.json", json.dumps({"seconds": seconds, "expected": expected}))


def correction(stage: str) -> float:
    """What to multiply the estimate of a stage with: 1 when it never ran here."""
    with suppress(FileNotFoundError):
        kept = json.loads((FOLDER / f"{stage}.json").read_text())
        return float(kept["seconds"] / kept["expected"])
    return 1.0
