"""How long the stages of a run will take on this machine, and the cost of its training runs, as lines for people."""

import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from components.cost import durations
from components.cost.words import duration, short
from components.training.engine import pace

POWERCAP = Path("/sys/class/powercap")
SLOW = 20 * 60  # seconds; for a longer run, the presets that take less are named
PARTS = 3  # that are named in a line
AFTER = "register, judge and report"
"""What a run does after its stages, as if it were a stage."""


@dataclass(frozen=True)
class TrainingEstimate:
    """The size of a training run, and its duration as estimated by the probe."""

    weights: int
    trained: int  # of the weights
    memory: int  # bytes of weights, gradients and optimizer states
    tokens: int
    flops_per_token: int  # forward and backward
    start: float  # seconds to the first step
    seconds: float  # of all steps after it


@dataclass(frozen=True)
class RunEstimate:
    """The expected seconds of each stage with given settings, without correction by earlier runs on this machine."""

    trainings: Mapping[str, TrainingEstimate]
    others: Mapping[str, float]

    @property
    def stages(self) -> list[str]:
        """All stages that have an estimate."""
        return [*self.trainings, *self.others]

    def seconds(self, stage: str) -> float | None:
        """Expected seconds of a stage, corrected by its last run on this machine; None if there is no estimate."""
        if stage in self.trainings:
            training = self.trainings[stage]
            return training.start + steps(stage, training)[0]
        if stage in self.others:
            return self.others[stage] * durations.correction(stage)
        return None

    def remember(self, stage: str, seconds: float) -> None:
        """Record how long a stage took, for the next estimate. Training runs record their own pace."""
        if stage in self.others:
            durations.remember(stage, seconds, self.others[stage])


def steps(stage: str, training: TrainingEstimate) -> tuple[float, str]:
    """Seconds of the steps of a training run, and where this estimate comes from."""
    known = pace.recall(stage, training.flops_per_token)
    if known is not None:
        return training.tokens / known, "as last time"
    return training.seconds, "by a probe of this machine"


def total(run: RunEstimate, stages: Iterable[str]) -> float:
    """Seconds of these stages, one after the other."""
    return sum(run.seconds(stage) or 0.0 for stage in stages)


def foretell(run: RunEstimate, stages: Sequence[str]) -> str:
    """One line about the stages that will run: an upper bound of their total duration, and the longest of them."""
    parts = {stage: seconds for stage in stages if (seconds := run.seconds(stage)) is not None}
    unknown = [stage for stage in stages if stage not in parts]
    longest = sorted(parts, key=parts.__getitem__, reverse=True)[:PARTS]
    named = ", ".join(f"{stage} {duration(parts[stage])}" for stage in longest)
    beside = f", and {' and '.join(unknown)}, of which nothing is known" if unknown else ""
    return f"at most about {duration(sum(parts.values()))} on this machine: {named}{beside}"


def quicker(seconds: float, presets: Mapping[str, float]) -> list[str]:
    """One line that names the presets faster than a slow run, the quickest first; none when the run is not slow."""
    less = sorted((other, name) for name, other in presets.items() if other < seconds)
    if seconds <= SLOW or not less:
        return []
    named = ", ".join(f"{name} {duration(other)}" for other, name in less)
    return [f"with a preset it takes less: {named}; `lmforge preset {less[0][1]} && make run` tries the first"]


def describe(stage: str, training: TrainingEstimate) -> str:
    """One line about a training run: size, FLOPs, duration, and energy where the machine reports its power limit."""
    flops = training.tokens * training.flops_per_token
    seconds, source = steps(stage, training)
    watts = power_limit()
    energy = f", at most {short(watts * seconds / 3600, 'Wh')}" if watts else ""
    weights = f"{short(training.weights)} weights"
    if training.trained < training.weights:
        weights += f", {short(training.trained)} of them trained"
    return (
        f"{weights}, {short(training.memory, 'B')} with gradients and optimizer, "
        f"{short(training.tokens)} tokens, {short(flops, 'FLOP')}: "
        f"about {duration(seconds)} at {training.tokens / seconds:,.0f} tokens/s ({source}){energy}"
    )


def power_limit() -> float | None:
    """The power limit of the GPUs or, without any, of the processors, in watts; None where it is not reported."""
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=power.limit", "--format=csv,noheader,nounits"]
        with suppress(OSError, subprocess.SubprocessError, ValueError):
            said = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
            return sum(map(float, said.split())) or None
    limits = POWERCAP.glob("intel-rapl:[0-9]/constraint_0_power_limit_uw")
    with suppress(OSError, ValueError):
        return sum(int(limit.read_text()) for limit in limits) / 1e6 or None
    return None
