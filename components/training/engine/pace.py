"""The throughput of training runs on this machine, from which the cost of the next one is estimated."""

import json
from dataclasses import asdict, dataclass

from components.core.files import STATE, write_atomically

FOLDER = STATE / "pace"


@dataclass(frozen=True)
class Pace:
    """The overall throughput of a training run: with its validations and checkpoints, without the first step."""

    tokens_per_second: float
    flops_per_token: float


def remember(stage: str, pace: Pace) -> None:
    """Record it for the next estimate. It is stored outside the outs, which depend on no machine."""
    write_atomically(FOLDER / f"{stage}.json", json.dumps(asdict(pace)))


def recall(stage: str, flops_per_token: float) -> float | None:
    """Tokens per second in the last run of a stage, or of another one with such a model; None when none ran here.

    Models of other sizes are ignored: in a small model, everything but the matrix products takes a larger part of a
    step.
    """
    files = sorted(FOLDER.glob("*.json"), key=lambda file: (file.stem == stage, file.stat().st_mtime))
    known = [Pace(**json.loads(file.read_text())) for file in files]
    alike = [each.tokens_per_second for each in known if each.flops_per_token == flops_per_token]
    return alike[-1] if alike else None
