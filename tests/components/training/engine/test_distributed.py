"""Several processes: the same curve as one, one state whoever goes on with it, and a process that dies."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from components.core.errors import BadSettings
from components.training import initialization
from components.training.engine import distributed
from tests.components.support import toy
from tests.components.support.adapted import SETTINGS
from tests.components.support.sizes import pretrain
from tests.components.support.toy import Metrics, StoppingAt, WithoutTargets, run, together

ROOT = Path(__file__).parents[4]
LAST = "step-00000012"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of one process."""
    folder = tmp_path_factory.mktemp("alone") / "checkpoints"
    together(1, folder)
    return folder


def curve(folder: Path) -> Iterator[Metrics]:
    history = json.loads((folder / LAST / "state.json").read_text())["state"]["history"]
    yield from [*history["training"], *history["validation"]]


def assert_same_run(one: Path, other: Path) -> None:
    """The figures of all steps, and the state behind the last one, within the rounding of fp32, and of Muon's bf16."""
    for found, expected in zip(curve(one), curve(other), strict=True):
        assert found == pytest.approx(expected, rel=1e-3), f"step {expected['step']}"
    tensors, expected_tensors = toy.tensors(one / LAST), toy.tensors(other / LAST)
    assert tensors.keys() == expected_tensors.keys()
    for name, tensor in expected_tensors.items():
        torch.testing.assert_close(tensors[name], tensor, rtol=0.02, atol=2e-4, msg=name)


@pytest.mark.parametrize(("count", "parallel"), [(2, "ddp"), (4, "ddp"), (2, "fsdp"), (4, "fsdp")])
def test_several_processes_train_as_one(tmp_path: Path, alone: Path, count: int, parallel: str) -> None:
    together(count, tmp_path / "x", parallel=parallel)
    assert_same_run(tmp_path / "x", alone)
    assert len(list((tmp_path / "x" / LAST).glob("*.safetensors"))) == (count if parallel == "fsdp" else 1)


@pytest.mark.parametrize(("count", "parallel"), [(2, "ddp"), (2, "fsdp"), (4, "fsdp")])
def test_several_processes_train_adapters_as_one(tmp_path: Path, count: int, parallel: str) -> None:
    together(1, tmp_path / "alone", adapters=SETTINGS)
    together(count, tmp_path / "x", adapters=SETTINGS, parallel=parallel)
    assert_same_run(tmp_path / "x", tmp_path / "alone")
    trained = toy.tensors(tmp_path / "x" / LAST)
    weights = load_file(tmp_path / "x/weights-0.safetensors")
    for name in (name for name in weights if ".adapters." in name):
        torch.testing.assert_close(weights[name], trained[f"model.{name}"], rtol=0, atol=0)


def test_any_number_of_processes_goes_on_where_another_stopped(tmp_path: Path, alone: Path) -> None:
    """One, then two and four with a part of the weights each, and one again."""
    folder = tmp_path / "x"
    for count, parallel in ((1, "ddp"), (2, "fsdp"), (4, "fsdp")):
        reached = max((int(path.name[5:]) for path in folder.glob("step-*")), default=0)
        together(count, folder, StoppingAt(reached + 3), parallel=parallel)
    together(1, folder)
    assert_same_run(folder, alone)


def test_the_weights_are_whole_when_training_ends(tmp_path: Path) -> None:
    together(2, tmp_path / "x", parallel="fsdp")
    expected = toy.tensors(tmp_path / "x" / LAST)
    for rank in range(2):
        weights = load_file(tmp_path / f"x/weights-{rank}.safetensors")
        for name, tensor in weights.items():
            torch.testing.assert_close(tensor, expected[f"model.{name}"], rtol=0, atol=0)


def test_a_bad_step_is_skipped_by_all_and_all_go_back(tmp_path: Path) -> None:
    together(2, tmp_path / "x", WithoutTargets((7, 8, 9, 10)), parallel="fsdp")
    state = json.loads((tmp_path / "x" / LAST / "state.json").read_text())["state"]
    assert state["history"]["rollbacks"] == [{"step": 10, "back_to": 6, "passed_over": 16}]
    assert state["history"]["training"][-1]["skipped_steps"] == 1


def test_a_process_that_dies_is_started_again_and_the_run_goes_on(tmp_path: Path, alone: Path) -> None:
    """By the elastic restart of torchrun."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    training = ["--max-restarts", "1", "-m", "tests.components.support.elastic", str(tmp_path / "x")]
    result = subprocess.run(
        [*torchrun, *training], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert re.search("resuming after step [36]", result.stdout)
    assert_same_run(tmp_path / "x", alone)


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    with pytest.raises(BadSettings, match="batch_size of pretrain is 4, which 3 processes cannot share"):
        run(tmp_path / "x")


def test_a_compiled_training_goes_as_a_plain_one(tmp_path: Path, alone: Path) -> None:
    run(tmp_path / "x", compile="always")
    assert_same_run(tmp_path / "x", alone)


def test_a_compiled_training_of_adapters_goes_as_a_plain_one(tmp_path: Path) -> None:
    run(tmp_path / "plain", adapters=SETTINGS)
    run(tmp_path / "x", adapters=SETTINGS, compile="always")
    assert_same_run(tmp_path / "x", tmp_path / "plain")


def test_what_is_compiled_is_for_training_alone() -> None:
    """Evaluations have rows of many lengths, each of which would be compiled; the trained model is a plain one."""
    model = initialization.random(pretrain(), toy.VOCABULARY)
    replica = distributed.Replica(model, "ddp", torch.device("cpu"), compiles=True)
    replica.loss(*toy.rows(np.arange(4)).tensors(), z_loss=0.0)
    compiled = _graphs()
    assert compiled > 0
    with replica.evaluating() as evaluated:
        for length in range(2, 6):
            evaluated(torch.zeros(1, length, dtype=torch.long))
    replica.finish()
    model(torch.zeros(1, 6, dtype=torch.long))
    assert _graphs() == compiled


def _graphs() -> int:
    """How many this process has compiled."""
    from torch._dynamo.utils import counters  # it takes a second

    return counters["stats"]["unique_graphs"]
