"""The cost of running one model in place of another: timed in turns, so that a drift of the machine cancels out.

docs/decisions.md, "Time for a token is measured by the gate"
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from components.evaluation.statistics import Interval, median_interval

if TYPE_CHECKING:
    from components.model.interface import LanguageModel

ROUNDS = 15  # odd, and enough for an interval of the median
READ = 32  # tokens of the prompt, or fewer where the window is small
WRITTEN = 8  # tokens of an answer


@dataclass(frozen=True)
class Latency:
    """Milliseconds per token and bytes of the weights; the slowdown is None between models that are not comparable."""

    slowdown: Interval | None  # challenger over champion
    challenger_ms: float
    champion_ms: float
    challenger_bytes: int
    champion_bytes: int


def measure(challenger: Path, champion: Path, confidence: float) -> Latency:
    """Measure two packages, one prompt at a time as they are served: greedy generation, or labelling by an encoder."""
    from components.model import hf
    from components.model.cpu_inference import pack
    from components.model.folder import weight_files

    models = [hf.load(package) for package in (challenger, champion)]
    sizes = [sum(part.stat().st_size for part in weight_files(package)) for package in (challenger, champion)]
    if bool(models[0].config.labels) != bool(models[1].config.labels):
        return Latency(None, 0.0, 0.0, *sizes)
    read = min(READ, *(model.config.max_sequence_length - WRITTEN for model in models))
    turns = [_turn(pack(model), read) for model in models]
    rounds = [(_milliseconds(turns[0]), _milliseconds(turns[1])) for _ in range(ROUNDS + 1)][1:]  # one to warm up
    slowdown = median_interval([challenger / champion for challenger, champion in rounds], confidence=confidence)
    return Latency(slowdown, *(median(of_model) for of_model in zip(*rounds, strict=True)), *sizes)


def _turn(model: "LanguageModel", read: int) -> tuple[Callable[[], object], int]:
    """A callable that runs one timed generation from a prompt of `read` tokens, and how many tokens it processes."""
    from components.model import labelling
    from components.model.generation import generate

    prompt = list(range(read))  # which tokens they are does not change what is computed
    if model.config.labels:
        return lambda: labelling.reply(model, [prompt]), read
    return lambda: generate(model, [prompt], max_new_tokens=WRITTEN, start=0), WRITTEN


def _milliseconds(turn: tuple[Callable[[], object], int]) -> float:
    work, tokens = turn
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000 / tokens
