"""How fast trainings ran on this machine: what the estimate of the next one's cost rests on."""

import json
from dataclasses import asdict, dataclass

from components.core.files import STATE, write_atomically

FOLDER = STATE / "pace"


@dataclass(frozen=True)
class Pace:
    """A training's speed, all in all: with its validations and checkpoints, without the first step."""

    tokens_per_second: float
    flops_per_token: float


def remember(stage: str, pace: Pace) -> None:
    """Keep it for the next estimate. It lies outside the outs, which say nothing of the machine."""
    write_atomically(FOLDER / f"{stage}.json", json.dumps(asdict(pace)))


def recall(stage: str, flops_per_token: float) -> float | None:
    """Tokens a second of a stage the last time, or of another training of such a model; None when none ran here.

    Nothing follows from models of other sizes: what a step does beside its products weighs more in a small one.
    """
    files = sorted(FOLDER.glob("*.json"), key=lambda file: (file.stem == stage, file.stat().st_mtime))
    known = [Pace(**json.loads(file.read_text())) for file in files]
    alike = [each.tokens_per_second for each in known if each.flops_per_token == flops_per_token]
    return alike[-1] if alike else None
