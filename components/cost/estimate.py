"""The cost of trainings, as lines for people: weights, tokens, arithmetic, hours, energy where the machine tells.

What has to be counted with PyTorch is kept, so that an estimate is quick as long as the settings stay the same.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from components import params, stage
from components.stage import STATE, write_atomically
from components.training import pace

COUNTS = STATE / "cost.json"
SECTIONS = ("pretrain", "finetune", "tokenizer")  # what the sizes follow from
SHARE = 0.35  # of the peak, for a training that never ran here
POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Training:
    """How large a training is."""

    weights: int
    tokens: int
    flops_per_token: int  # forward and backward


@dataclass(frozen=True)
class Counts:
    """All trainings of some settings, and the peak of this machine in matrix products."""

    digest: str
    trainings: dict[str, Training]
    peak: float  # floating-point operations a second


def save(counts: Counts) -> None:
    """Keep the counts for later estimates."""
    write_atomically(COUNTS, json.dumps(asdict(counts)))


def load() -> Counts | None:
    """The counts of the present settings, if they were made."""
    with suppress(FileNotFoundError):
        content = json.loads(COUNTS.read_text())
        if content["digest"] == digest():
            trainings = {name: Training(**training) for name, training in content["trainings"].items()}
            return Counts(content["digest"], trainings, content["peak"])
    return None


def digest() -> str:
    """Of the settings that the sizes follow from."""
    settings = params.load(params.PARAMS)
    content = json.dumps([settings[section] for section in SECTIONS], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


@contextmanager
def counting() -> Iterator["Counting"]:
    """Count in the background where nobody counted these settings yet; whoever does not ask does not wait."""
    process = None
    if load() is None:
        process = subprocess.Popen([sys.executable, "-m", "components.cost.count"], stderr=subprocess.DEVNULL)
    try:
        yield Counting(process)
    finally:
        if process is not None:
            process.terminate()
            process.wait()


class Counting:
    """Counts that may be still under way."""

    def __init__(self, process: "subprocess.Popen[bytes] | None") -> None:
        self._process = process

    def lines(self, names: Sequence[str]) -> dict[str, str]:
        """What each of these trainings will cost; none where they are no trainings, or the reason why not."""
        if self._process is not None and self._process.wait() != 0:
            return {"cost": f"not known: {stage.outcome('cost')[1]}"}
        counts = load()
        assert counts is not None, "counted, and yet not there"
        return {name: describe(name, counts.trainings[name], counts.peak) for name in names if name in counts.trainings}


def describe(name: str, training: Training, peak: float) -> str:
    """One line about a training. Its speed is that of the last one on this machine, or else a guess."""
    flops = training.tokens * training.flops_per_token
    known = pace.recall(name)
    if known is None:
        speed, source = SHARE * peak, f"a guess: {SHARE:.0%} of the matrix peak, {_short(peak, 'FLOP/s')}"
    elif known.flops_per_token == training.flops_per_token:
        speed, source = known.flops_per_second, "as last time"
    else:
        speed, source = known.flops_per_second, f"{_short(known.flops_per_second, 'FLOP/s')}, as last time"
    seconds = flops / speed
    watts = power_limit()
    energy = f", at most {_short(watts * seconds / 3600, 'Wh')}" if watts else ""
    return (
        f"{_short(training.weights)} weights, {_short(training.tokens)} tokens, {_short(flops, 'FLOP')}: "
        f"about {_duration(seconds)} at {training.tokens / seconds:,.0f} tokens/s ({source}){energy}"
    )


def power_limit() -> float | None:
    """What GPUs or, without any, processors may draw, in watts; None where they do not tell."""
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=power.limit", "--format=csv,noheader,nounits"]
        with suppress(OSError, subprocess.SubprocessError, ValueError):
            said = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
            return sum(map(float, said.split())) or None
    limits = POWERCAP.glob("intel-rapl:[0-9]/constraint_0_power_limit_uw")
    with suppress(OSError, ValueError):
        return sum(int(limit.read_text()) for limit in limits) / 1e6 or None
    return None


def _short(number: float, unit: str = "") -> str:
    """With two or three digits: 4.0M, or with a unit 27 TFLOP."""
    letters = " kMGTPEZ" if unit else " kMBT"
    step = 0
    while number >= 999.5 and step < len(letters) - 1:
        number, step = number / 1000, step + 1
    digits = f"{number:.1f}" if number < 9.95 else f"{number:.0f}"
    letter = letters[step].strip()
    return f"{digits} {letter}{unit}" if unit else digits + letter


def _duration(seconds: float) -> str:
    for size, unit, longest in ((1, "s", 90), (60, "min", 90 * 60), (3600, "h", 48 * 3600)):
        if seconds < longest:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds / 86400:.2g} days"
