"""Measured durations of stages on this machine relative to their estimates, which correct the next estimate.

The ratio outlives a change of settings: a machine that needs twice the time for a small corpus does so for a large one.
"""

import json
from contextlib import suppress

from components.core.files import write_atomically
from components.training.engine import pace

FOLDER = pace.FOLDER / "stages"


def remember(stage: str, seconds: float, expected: float) -> None:
    """Record how long a stage took when it succeeded. `expected` is the estimate without any correction."""
    write_atomically(FOLDER / f"{stage}.json", json.dumps({"seconds": seconds, "expected": expected}))


def correction(stage: str) -> float:
    """The factor for the estimate of a stage: 1 when it never ran here."""
    with suppress(FileNotFoundError):
        kept = json.loads((FOLDER / f"{stage}.json").read_text())
        return float(kept["seconds"] / kept["expected"])
    return 1.0
