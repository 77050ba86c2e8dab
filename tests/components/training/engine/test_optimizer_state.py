"""A training goes on with the state that another one's optimizers were left in, and resumes to the bit."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from components.core.errors import BadSettings
from components.training import initialization
from components.training.engine import checkpoints, optimizer_state
from components.training.engine.loop import Job, train
from components.training.engine.optimizer import build
from tests.components.support import toy
from tests.components.support.sizes import pretrain


def run(
    folder: Path, *, kept: Path | None = None, begin: Path | None = None, read: toy.Rows = toy.rows
) -> list[Tensor]:
    """Train from the same weights; returns those at the end."""
    settings = pretrain()
    job = Job(
        stage="pretrain", model=initialization.random(settings, toy.VOCABULARY), rows=read, validate=toy.validate,
        settings=settings.optimization, parallel="ddp", checkpoints=folder, made_from=toy.MADE_FROM, optimizer=begin,
    )  # fmt: skip
    train(job, None, kept)
    return list(job.model.state_dict().values())


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_training_begins_with_the_state_and_resumes_to_the_bit(tmp_path: Path) -> None:
    kept = tmp_path / "kept/state.safetensors"
    fresh = run(tmp_path / "a", kept=kept)
    warm = run(tmp_path / "b", begin=kept)
    assert not same(fresh, warm)
    with pytest.raises(toy.StoppedTraining):
        run(tmp_path / "c", begin=kept, read=toy.StoppingAt(8))
    assert same(run(tmp_path / "c", begin=kept), warm)


def test_what_is_read_is_what_was_written_and_that_of_others_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "state.safetensors"
    run(tmp_path / "a", kept=kept)
    settings = pretrain()
    model = initialization.random(settings, toy.VOCABULARY)
    optimizers = build(model, settings.optimization, torch.float32)
    optimizer_state.load(kept, model, optimizers)
    again = tmp_path / "again.safetensors"
    optimizer_state.save(again, model, optimizers)
    assert again.read_bytes() == kept.read_bytes()
    assert any(name.endswith("exp_avg") for name in checkpoints.named_tensors(model, optimizers))
    with pytest.raises(BadSettings, match="is the state of another optimizer"):
        optimizer_state.load(kept, model, build(model, pretrain(optimizer="adamw").optimization, torch.float32))
