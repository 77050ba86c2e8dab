"""The training loop: one for pretraining and fine-tuning, on a CPU or a GPU.

Everything a step depends on is in its number, the weights and the optimizer, so that a run that is killed and
started again ends with the same bits.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from components.model.transformer import IGNORED, Transformer
from components.progress import Progress
from components.stage import STATE, BadSettings, log
from components.training import checkpoints, hardware
from components.training.batches import Batch
from components.training.optimizer import build, learning_rate
from components.training.settings import Optimization

Row = dict[str, float]
LossOf = Callable[..., Tensor]


@dataclass
class History:
    """What training leaves for its curves: a row for each step that was logged, and for each validation."""

    training: list[Row] = field(default_factory=list)
    validation: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """A training to run: the data come as functions of the step and the model."""

    stage: str
    model: Transformer
    batch: Callable[[int], Batch]
    validate: Callable[[Transformer], Row]
    settings: Optimization
    checkpoints: Path
    report: Callable[[int, Row], None]


def train(job: Job) -> History:
    """Train the model in place, from the newest checkpoint of the job if there is one.

    Raises `BadSettings` when the loss is no longer a number.
    """
    device = hardware.device()
    torch.use_deterministic_algorithms(device.type == "cpu")
    optimizers = build(job.model.to(device).train(), job.settings)
    history, start = _resume(job, optimizers)
    engine = _Engine(job, optimizers, device)
    with Progress(job.stage, job.settings.steps, "steps", start) as progress:
        for step in range(start, job.settings.steps):
            row = engine.step(step)
            done = step + 1
            if row is not None:
                history.training.append({"step": done, **row})
                job.report(done, row)
            if _due(done, job.settings.validate_every, job.settings.steps):
                figures = engine.validate()
                history.validation.append({"step": done, **figures})
                job.report(done, figures)
            if done % job.settings.checkpoint_every == 0:
                state = checkpoints.capture(done, vars(history), job.model, optimizers)
                checkpoints.save(state, job.checkpoints)
            progress.advance(1, **engine.figures)
    job.model.to("cpu").eval()
    return history


def _resume(job: Job, optimizers: list[Optimizer]) -> tuple[History, int]:
    checkpoint = checkpoints.newest(job.checkpoints)
    if checkpoint is None:
        return History(), 0
    checkpoints.restore(checkpoint, job.model, optimizers)
    log.info("%s resumes after step %d", job.stage, checkpoint.step)
    print(f"resuming after step {checkpoint.step}", flush=True)
    return History(**checkpoint.history), checkpoint.step


def _due(done: int, every: int, steps: int) -> bool:
    return done % every == 0 or done == steps


class _Engine:
    """Takes steps and keeps an eye on their pace."""

    def __init__(self, job: Job, optimizers: list[Optimizer], device: torch.device) -> None:
        self._job, self._optimizers, self._device = job, optimizers, device
        dtype = hardware.precision(job.settings, device)
        self._autocast = torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32)
        self._loss_of = _compiled(job.model.loss) if hardware.compiles(job.settings, device) else job.model.loss
        self._peak = hardware.matmul_peak(device, dtype)
        self._logged_at, self._tokens = time.perf_counter(), 0
        self.figures: dict[str, str] = {}

    def step(self, step: int) -> Row | None:
        """Train on the batch of a step; a row when it is to be logged."""
        settings = self._job.settings
        batch = self._job.batch(step)
        rate = learning_rate(step, settings)
        for group in (group for optimizer in self._optimizers for group in optimizer.param_groups):
            group["lr"] = rate
        loss = self._accumulate(batch)
        norm = nn.utils.clip_grad_norm_(self._job.model.parameters(), settings.max_gradient_norm)
        for optimizer in self._optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self._tokens += batch.tokens_BT.numel()
        done = step + 1
        if not _due(done, settings.log_every, settings.steps) and done % settings.checkpoint_every:
            return None
        row = {"loss": loss.item(), "learning_rate": rate, "gradient_norm": norm.item()}
        self._require_numbers(done, row)
        self._pace(row["loss"], batch.tokens_BT.shape[1])
        return row

    def validate(self) -> Row:
        """The figures of the validation split."""
        self._job.model.eval()
        with torch.inference_mode(), self._autocast:
            row = self._job.validate(self._job.model)
        self._job.model.train()
        return row

    def _accumulate(self, batch: Batch) -> Tensor:
        """Gradients of the mean loss over the batch; the loss, in nats a token."""
        count = int((batch.targets_BT != IGNORED).sum())
        total = torch.zeros((), device=self._device)
        for part in batch.split(self._job.settings.micro_batch_size):
            with self._autocast:
                loss = self._loss_of(*part.to(self._device)) / count
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def _require_numbers(self, step: int, row: Row) -> None:
        if not math.isfinite(row["loss"]) or not math.isfinite(row["gradient_norm"]):
            raise BadSettings(
                f"training diverged at step {step} (loss {row['loss']}, norm of its gradient "
                f"{row['gradient_norm']}): lower optimization.learning_rate of {self._job.stage}, or raise warmup_steps"
            )

    def _pace(self, loss: float, length: int) -> None:
        now = time.perf_counter()
        rate = self._tokens / (now - self._logged_at)
        share = rate * self._job.model.flops_per_token(length) / self._peak
        self.figures = {"loss": f"{loss:.3f}", "tokens/s": f"{rate:,.0f}", "of matmul peak": f"{share:.0%}"}
        self._logged_at, self._tokens = now, 0


def _compiled(loss_of: LossOf) -> LossOf:
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str((STATE / "inductor").absolute()))
    print("compiling the model: the first step takes longer", flush=True)
    compiled: LossOf = torch.compile(loss_of, dynamic=False)
    return compiled
