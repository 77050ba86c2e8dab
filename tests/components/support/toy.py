"""A training of two milliseconds a step, and processes for it that start in a few more."""

import multiprocessing
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from components.model import lora
from components.model.lora_settings import Lora
from components.model.transformer import IGNORED, Transformer
from components.training import initialization
from components.training.data.batches import Batch
from components.training.engine.checkpoints import Manifest
from components.training.engine.loop import History, Job, Metrics, train
from tests.components.support.sizes import pretrain

VOCABULARY = 50
MADE_FROM: Manifest = {"settings": {"seed": 1}, "files": {}}

# A server that has loaded torch and never computed: what it forks is at work at once.
processes = multiprocessing.get_context("forkserver")
# What optimizers import, seconds of it. A module of ours would not be found: the server has another path.
processes.set_forkserver_preload(["torch._dynamo"])

Rows = Callable[[np.ndarray], Batch]


def rows(places: np.ndarray) -> Batch:
    """Each token follows from the one before, but for the first."""
    found = np.stack([np.random.default_rng(place).integers(VOCABULARY, size=17) for place in places.tolist()])
    for column in range(1, 17):
        found[:, column] = found[:, column - 1] * 7 % VOCABULARY
    tokens = torch.from_numpy(found)
    return Batch(tokens[:, :-1], tokens[:, 1:])


class StoppedTraining(Exception):
    """The test pulls the plug."""


@dataclass(frozen=True)
class StoppingAt:
    """Rows up to those of a step."""

    step: int
    read: Rows = rows

    def __call__(self, places: np.ndarray) -> Batch:
        if places.max() >= self.step * 4:
            raise StoppedTraining
        return self.read(places)


@dataclass(frozen=True)
class WithoutTargets:
    """Rows of which those of some steps have nothing to predict: their mean loss is 0 / 0."""

    steps: tuple[int, ...]

    def __call__(self, places: np.ndarray) -> Batch:
        batch = rows(places)
        hidden = torch.from_numpy(np.isin(places // 4, self.steps))[:, None]
        return Batch(batch.tokens_BT, torch.where(hidden, IGNORED, batch.targets_BT))


def validate(model: Transformer) -> Metrics:
    """Nats of eight rows."""
    return {"nats": float(model.loss(*rows(np.arange(10**6, 10**6 + 8)).tensors()))}  # type: ignore[arg-type]


def write_samples(model: Transformer) -> str:
    """What stands for a text."""
    return f"{sum(weight.numel() for weight in model.parameters())} weights"


class RecordingObserver:
    """An observer that keeps what it gets."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, Metrics]] = []
        self.texts: dict[str, str] = {}

    def log(self, step: int, row: Metrics) -> None:
        self.rows.append((step, row))

    def text(self, name: str, text: str) -> None:
        self.texts[name] = text


def run(
    folder: Path,
    read: Rows = rows,
    *,
    parallel: str = "ddp",
    made_from: Manifest = MADE_FROM,
    adapters: Lora | None = None,
    **changes: Any,
) -> tuple[dict[str, Tensor], History, RecordingObserver]:
    """Train in this process with the checkpoints in a folder: the weights, the history, and what was observed.

    With `adapters` they alone are trained.
    """
    settings = pretrain(**changes)
    model = initialization.random(settings, VOCABULARY)
    if adapters is not None:
        lora.attach(model, adapters, seed=1)
    observer = RecordingObserver()
    job = Job(
        stage="pretrain", model=model, rows=read, validate=validate, settings=settings.optimization,
        parallel=parallel, checkpoints=folder, made_from=made_from, write_samples=write_samples,
    )  # fmt: skip
    history = train(job, observer)
    return dict(model.state_dict()), history, observer


def together(count: int, folder: Path, read: Rows = rows, **changes: Any) -> None:
    """Train in several processes, which leave `weights-<rank>.safetensors` in the folder with the checkpoints.

    A failure of one is a failure of the test.
    """
    meeting = folder.parent / f"{folder.name}-meeting"
    meeting.unlink(missing_ok=True)
    given = [(rank, count, meeting, folder, read, changes) for rank in range(count)]
    workers = [processes.Process(target=_work, args=arguments) for arguments in given]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * count


def _work(rank: int, count: int, meeting: Path, folder: Path, read: Rows, changes: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
    with suppress(StoppedTraining):
        weights, _, _ = run(folder, read, **changes)
        del weights["head.weight"]  # the same as the embedding
        save_file(weights, folder / f"weights-{rank}.safetensors")


def tensors(checkpoint: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint: the pieces of each put together, as anyone could who reads safetensors."""
    found: dict[str, list[Tensor]] = {}
    for path in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118 (it is no dict)
                found.setdefault(name, []).append(file.get_tensor(name).clone())
    return {name: torch.cat(pieces) if len(pieces) > 1 else pieces[0] for name, pieces in found.items()}
