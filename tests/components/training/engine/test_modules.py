"""Modules of `transformers` in the training loop."""

import copy
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor

from components.core.errors import BadSettings
from components.model import hf
from components.training.engine.loop import History, Job, train
from tests.components.support import modules, toy
from tests.components.support.sizes import pretrain


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    modules.made("gpt2").save_pretrained(folder)
    return folder


def run(
    gpt2: Path, checkpoints: Path, read: toy.Rows = toy.rows, **changes: object
) -> tuple[dict[str, Tensor], History]:
    model = hf.load(gpt2)
    job = Job(
        stage="finetune@toy", model=model, rows=read, validate=toy.validate, settings=pretrain(**changes).optimization,
        parallel="ddp", checkpoints=checkpoints, made_from=toy.MADE_FROM,
    )  # fmt: skip
    history = train(job)
    return copy.deepcopy(model.state_dict()), history


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_stopped_run_ends_with_the_same_bits(gpt2: Path, tmp_path: Path, optimizer: str) -> None:
    whole, history = run(gpt2, tmp_path / "whole", optimizer=optimizer)
    with suppress(toy.StoppedTraining):
        run(gpt2, tmp_path / "stopped", toy.StoppingAt(8), optimizer=optimizer)
    resumed, again = run(gpt2, tmp_path / "stopped", optimizer=optimizer)
    assert again.training == history.training
    assert all(torch.equal(weight, resumed[name]) for name, weight in whole.items())
    assert history.validation[-1]["nats"] < 0.9 * float(toy.validate(hf.load(gpt2))["nats"])


def test_activations_are_computed_again_for_the_same_gradient(gpt2: Path, tmp_path: Path) -> None:
    plain, _ = run(gpt2, tmp_path / "plain")
    again, _ = run(gpt2, tmp_path / "again", activation_checkpointing=True)
    assert all(torch.allclose(weight, again[name], atol=1e-5) for name, weight in plain.items())


def test_to_compile_them_is_refused(gpt2: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"compile is always, but modules of transformers"):
        run(gpt2, tmp_path, compile="always")
