"""The training loop: one for pretraining and fine-tuning, on a CPU or a GPU, in one process or in many.

A step depends on its number, the weights, the optimizers and a few other values. All of these are in a checkpoint, so
that a run that is killed and resumed ends with the same bits.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from components.core.errors import BadSettings
from components.core.progress import Progress
from components.core.stage import log
from components.model import arithmetic
from components.model.interface import LanguageModel
from components.training.data.batches import Prefetch, Rows
from components.training.data.data_order import Rollback
from components.training.engine import checkpoints, distributed, pace
from components.training.engine.checkpoints import Manifest
from components.training.engine.optimizer import learning_rate
from components.training.engine.step import Stepper
from components.training.engine.throughput import ThroughputMeter
from components.training.settings import Optimization

Metrics = dict[str, float]


@dataclass
class History:
    """The record of a training run: logged steps, validations, rollbacks, and the numbers of skipped steps."""

    training: list[Metrics] = field(default_factory=list)
    validation: list[Metrics] = field(default_factory=list)
    rollbacks: list[Rollback] = field(default_factory=list)
    skipped_steps: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """A training run. Its data are the rows at the places 0, 1, ... of an endless shuffled sequence.

    `validate` returns metrics of the model on rows that it is not trained on, and `write_samples` its samples, or
    nothing. `made_from` is the manifest of settings and data (`checkpoints.manifest`), which a checkpoint has to match.
    """

    stage: str
    model: LanguageModel
    rows: Rows
    validate: Callable[[LanguageModel], Metrics]
    settings: Optimization
    parallel: str
    checkpoints: Path
    made_from: Manifest
    write_samples: Callable[[LanguageModel], str] = lambda _: ""
    optimizer: Path | None = None  # a file with the state that the optimizers begin with (`optimizer_state.save`)


class Observer(Protocol):
    """Receives metrics and texts during training, such as a run of MLflow."""

    def log(self, step: int, row: Metrics) -> None:
        """Log the metrics of a step."""

    def text(self, name: str, text: str) -> None:
        """Log a text."""


def train(job: Job, observer: Observer | None = None, keep_optimizer: Path | None = None) -> History:
    """Train the model in place, from the newest checkpoint of the job if there is one.

    The observer, on rank 0 only, receives the rows of the history with the throughput, and the samples. The last state
    of the optimizers goes to the file `keep_optimizer`.

    Raises `BadSettings` when steps have to be skipped again and again, and `OSError` when there is no space for a
    checkpoint.
    """
    run, settings = _Run(job, observer), job.settings
    with Progress(job.stage, settings.steps, "steps", run.done, shown=distributed.is_rank0()) as progress:
        while run.done < settings.steps:
            saves = (run.done + 1) % settings.checkpoint_every == 0
            run.step(log=saves or _due(run.done + 1, settings.log_every, settings.steps))
            progress.advance(1, **run.meter.shown)
            if run.streak >= settings.max_skipped_steps:
                progress.advance(-run.roll_back())
                continue
            if _due(run.done, settings.validate_every, settings.steps):
                run.validate()
            if saves and run.streak == 0:
                run.save()
        run.remember_pace(progress.rate)
    return run.finish(keep_optimizer)


def _due(done: int, every: int, steps: int) -> bool:
    return done % every == 0 or done == steps


class _Run:
    """A training run and its state: steps done, rows of data passed over, tokens seen, and steps skipped in a row."""

    def __init__(self, job: Job, observer: Observer | None) -> None:
        if job.settings.batch_size % distributed.world_size():
            raise BadSettings(
                f"batch_size of {job.stage} is {job.settings.batch_size}, "
                f"which {distributed.world_size()} processes cannot share: make it a multiple"
            )
        self._job, self._observer = job, observer
        self._stepper = Stepper(job.model, job.settings, job.parallel)
        self._data = Prefetch(job.rows, job.settings.batch_size, job.settings.micro_batch_size)
        self._writer = checkpoints.CheckpointWriter(job.checkpoints, job.made_from)
        self.meter = ThroughputMeter(self._stepper.model, self._stepper.device, self._stepper.precision)
        self._say(f"matrix products in {arithmetic.described(self._stepper.precision, self._stepper.device)}")
        self.done, self._passed_over, self._tokens, self._history = 0, 0, 0, History()
        self.streak = 0  # as of the last logged step
        torch.manual_seed(job.settings.seed)
        if self._restore():
            self._say(f"resuming after step {self.done}")
        else:
            if job.optimizer:
                self._stepper.load_optimizers(job.optimizer)
            self.save()  # so that there is always a checkpoint to roll back to

    def step(self, *, log: bool) -> None:
        """Take the next step; if it is logged, wait for it and log its metrics."""
        self._share = self._data.take(self._passed_over + self.done * self._job.settings.batch_size)
        metrics = self._stepper.step(self.done, self._share, log=log)
        self.done += 1
        self._tokens += self._share.tokens
        self.meter.add(self._share)
        self._writer.check()
        if log:
            self._note(metrics)

    def validate(self) -> None:
        """Log the metrics on the validation split, and samples."""
        with self._stepper.evaluating() as model:
            metrics, samples = self._job.validate(model), self._job.write_samples(model)
        row = {"step": self.done, "tokens": self._tokens, **metrics}
        self._history.validation.append(row)
        self._report(row)
        if self._observer and samples:
            print(f"samples after step {self.done}:\n{samples}", flush=True)
            self._observer.text(f"samples/step-{self.done:08d}.txt", samples + "\n")
        self.meter.begin()

    def save(self) -> None:
        """Start writing a checkpoint."""
        state = {"passed_over": self._passed_over, "tokens": self._tokens, "history": asdict(self._history)}
        self._writer.save(self.done, state, self._stepper.tensors())

    def roll_back(self) -> int:
        """Roll back to the last checkpoint, and pass over the rows read since; returns the number of steps undone.

        PaLM did so by hand (https://arxiv.org/abs/2204.02311, section 5.1).
        docs/decisions.md, "Skipped steps"
        """
        at, passed_over, rollbacks = self.done, self._passed_over, self._history.rollbacks
        if len(rollbacks) == self._job.settings.max_rollbacks:
            raise BadSettings(
                f"training diverged at step {at}: {self.streak} steps in a row had a loss or a gradient that is no "
                f"number, or far above those before, also after {len(rollbacks)} rollbacks to an earlier checkpoint: "
                f"lower optimization.learning_rate of {self._job.stage}, or raise warmup_steps"
            )
        self._writer.wait()
        self._restore()
        steps = at - self.done
        self._passed_over = passed_over + steps * self._job.settings.batch_size
        event = Rollback(step=at, back_to=self.done, passed_over=self._passed_over)
        self._history.rollbacks = [*rollbacks, event]
        self._say(f"{self.streak} steps in a row were skipped: from step {at} back to {self.done}, past those rows")
        self.streak = 0
        return steps

    def remember_pace(self, steps_per_second: float | None) -> None:
        """Record the throughput, for the estimate of the next training run."""
        if steps_per_second and distributed.is_rank0():
            flops = self._stepper.model.flops_per_token(*self._share.lengths)
            pace.remember(self._job.stage, pace.Pace(steps_per_second * self._share.tokens, flops))

    def finish(self, keep_optimizer: Path | None) -> History:
        """Copy the weights into the model of the job, and return the history."""
        self._writer.wait()
        if keep_optimizer:
            self._stepper.save_optimizers(keep_optimizer)
        self._stepper.finish()
        self._history.skipped_steps = self._stepper.spikes.skipped()
        return self._history

    def _restore(self) -> bool:
        """Restore the newest checkpoint; returns whether there was one."""
        checkpoint = checkpoints.newest(self._job.checkpoints, self._job.made_from)
        if checkpoint is None:
            return False
        self._stepper.restore(checkpoint)
        self.done = checkpoint.step
        self._passed_over, self._tokens = checkpoint.state["passed_over"], checkpoint.state["tokens"]
        history = checkpoint.state["history"]
        rollbacks = [Rollback(**event) for event in history["rollbacks"]]
        self._history = History(**history | {"rollbacks": rollbacks})
        return True

    def _note(self, metrics: dict[str, Tensor]) -> None:
        """Wait for the metrics of a step, and log them."""
        values = dict(zip(metrics, torch.stack(list(metrics.values())).tolist(), strict=True))
        self.streak = int(values.pop("streak"))
        rate = learning_rate(self.done - 1, self._job.settings)
        row = {"step": self.done, "tokens": self._tokens, "learning_rate": rate, **values}
        before = self._history.training[-1]["skipped_steps"] if self._history.training else 0
        if row["skipped_steps"] > before:
            self._say(f"{row['skipped_steps'] - before:.0f} steps up to {self.done} were skipped as spikes")
        self._history.training.append(row)
        self._report(row | self.meter.measure(row["loss"], rate))

    def _report(self, row: Metrics) -> None:
        if self._observer:
            self._observer.log(self.done, row)

    def _say(self, line: str) -> None:
        if distributed.is_rank0():
            log.info("%s: %s", self._job.stage, line)
            print(line, flush=True)
