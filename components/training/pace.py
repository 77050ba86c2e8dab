"""How fast trainings ran on this machine: what the estimate of the next one's cost rests on."""

import json
from dataclasses import asdict, dataclass

from components.stage import STATE, write_atomically

FOLDER = STATE / "pace"


@dataclass(frozen=True)
class Pace:
    """A training's speed, all in all: with its validations and checkpoints, without the first step."""

    tokens_per_second: float
    flops_per_token: float

    @property
    def flops_per_second(self) -> float:
        """What a model of another size may count on."""
        return self.tokens_per_second * self.flops_per_token


def remember(stage: str, pace: Pace) -> None:
    """Keep it for the next estimate. It lies outside the outs, which say nothing of the machine."""
    write_atomically(FOLDER / f"{stage}.json", json.dumps(asdict(pace)))


def recall(stage: str) -> Pace | None:
    """The pace of a stage the last time, or of another training when this one never ran here."""
    files = sorted(FOLDER.glob("*.json"), key=lambda file: (file.stem == stage, file.stat().st_mtime))
    return Pace(**json.loads(files[-1].read_text())) if files else None
