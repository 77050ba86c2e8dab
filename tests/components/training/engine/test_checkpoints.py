"""Checkpoints: whole or not there at all, whatever happens to the process, the disk, the settings or the files."""

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from components.core.errors import BadSettings
from components.training import initialization
from components.training.engine import checkpoints, optimizer
from components.training.engine.checkpoints import CheckpointWriter, newest
from tests.components.support import toy
from tests.components.support.sizes import optimization, pretrain
from tests.components.support.toy import MADE_FROM, run


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def names(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.iterdir())]


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    run(tmp_path / "x")
    assert names(tmp_path / "x") == ["step-00000009", "step-00000012"]


def test_a_checkpoint_holds_the_step_in_which_it_was_taken(tmp_path: Path) -> None:
    """Training goes on in the same memory while it is written."""
    model, writer = nn.Linear(400, 400), CheckpointWriter(tmp_path, MADE_FROM)
    with torch.no_grad():
        for step in range(5):
            model.weight.fill_(step)
            writer.save(step, {}, {"weight": model.weight.detach()})
            model.weight.fill_(-1)
    writer.wait()
    assert [toy.tensors(path)["weight"].unique().tolist() for path in sorted(tmp_path.iterdir())] == [[3.0], [4.0]]


def damage(path: Path, how: str) -> None:
    weights = next(path.glob("*.safetensors"))
    content = weights.read_bytes()
    if how == "a bit":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "cut":
        weights.write_bytes(content[:100])
    elif how == "gone":
        weights.unlink()
    else:
        (path / "state.json").write_text('{"step": 12')


@pytest.mark.parametrize("how", ["a bit", "cut", "gone", "the state"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path / "x")
    expected = toy.tensors(tmp_path / "x/step-00000012")
    damage(tmp_path / "x/step-00000012", how)
    found = newest(tmp_path / "x", MADE_FROM)
    assert found is not None
    assert found.step == 9
    assert "passing over the damaged checkpoint" in caplog.text
    run(tmp_path / "x")
    again = toy.tensors(tmp_path / "x/step-00000012")
    assert all(torch.equal(again[name], tensor) for name, tensor in expected.items())


def test_what_a_killed_writer_left_is_no_checkpoint(tmp_path: Path) -> None:
    run(tmp_path / "x")
    (tmp_path / "x/step-00000012").rename(tmp_path / "x/.part-00000012")
    found = newest(tmp_path / "x", MADE_FROM)
    assert found is not None
    assert found.step == 9
    run(tmp_path / "x")
    assert names(tmp_path / "x") == ["step-00000009", "step-00000012"]


def test_other_settings_or_data_are_refused_and_named(tmp_path: Path) -> None:
    run(tmp_path / "x", made_from={"settings": {"seed": 1, "model": {"depth": 4}}, "files": {"tokens": "ab"}})
    other = {"settings": {"seed": 1, "model": {"depth": 6}, "tasks": "x"}, "files": {"tokens": "cd"}}
    line = (
        r"step-00000012 was made from other settings or data "
        r"\(settings\.model\.depth: 4 -> 6; files\.tokens: ab -> cd; "
        r"settings\.tasks: none -> x\): set them back .* or remove "
    )
    with pytest.raises(BadSettings, match=line):
        run(tmp_path / "x", made_from=other)


def test_the_key_tells_settings_and_files_apart(tmp_path: Path) -> None:
    file = tmp_path / "data.json"

    def key(content: str, **changes: Any) -> str:
        file.write_text(content)
        return checkpoints.key(checkpoints.manifest(pretrain(**changes), [file]))

    assert key("1") == key("1")
    assert len({key("1"), key("2"), key("1", seed=2), key("1", betas=(0.8, 0.9))}) == 4


@pytest.mark.parametrize(
    ("edited", "same"),
    [
        ('"""Another title."""\n\ndef half(x):  # by two\n    return x / 2\n', True),
        ('"""Title."""\n\n\ndef half(x):\n    """Half of it."""\n\n    return (x / 2)\n', True),
        ('"""Title."""\n\ndef half(x):\n    return x / 3\n', False),
        ('"""Title."""\n\ndef half(x):\n    return "x / 2"\n', False),
    ],
)
def test_a_comment_in_the_code_costs_nothing(tmp_path: Path, edited: str, same: bool) -> None:
    module = tmp_path / "code/below/module.py"
    module.parent.mkdir(parents=True)
    module.write_text('"""Title."""\n\ndef half(x):\n    return x / 2\n')
    before = checkpoints.manifest(pretrain(), [tmp_path / "code"])
    module.write_text(edited)
    assert (checkpoints.manifest(pretrain(), [tmp_path / "code"]) == before) is same


def test_a_manifest_comes_back_from_the_disk_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text("1")
    made_from = checkpoints.manifest(pretrain(), [tmp_path / "data.json"])
    assert json.loads(json.dumps(made_from)) == made_from


def test_a_full_disk_ends_the_training_with_its_own_error(tmp_path: Path) -> None:
    part = tmp_path / "x/.part-00000000"
    part.mkdir(parents=True)
    (part / "00000-of-00001.safetensors").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        run(tmp_path / "x", steps=1000)
    assert names(tmp_path / "x") == [".part-00000000"]
    assert newest(tmp_path / "x", MADE_FROM) is None


def test_the_order_of_tensors_does_not_tell_who_began_the_state() -> None:
    """Else a run that goes on writes the same tensors as one that was left alone, and another file."""
    model = initialization.random(pretrain(), toy.VOCABULARY)
    optimizers = optimizer.build(model, optimization(), torch.float32)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    for each in optimizers:
        each.step()
    names = list(checkpoints.named_tensors(model, optimizers))
    for each in optimizers:
        for weight, state in each.state.items():
            each.state[weight] = dict(reversed(state.items()))
    assert list(checkpoints.named_tensors(model, optimizers)) == names


SCHEDULE = {"steps": 240, "checkpoint_every": 4, "validate_every": 6, "log_every": 3}


def train_in_one_thread(folder: Path) -> None:
    torch.set_num_threads(1)
    run(folder, **SCHEDULE)


def seconds_or_killed(folder: Path, after: float | None) -> float | None:
    """Train in a process, and kill it after a time: how long it took, or None when it was killed."""
    process = toy.processes.Process(target=train_in_one_thread, args=(folder,))
    began = time.monotonic()
    process.start()
    process.join(after)
    process.kill()
    process.join()
    assert process.exitcode in (0, -9)
    return time.monotonic() - began if process.exitcode == 0 else None


@pytest.mark.parametrize(
    "times",
    [6, pytest.param(20, marks=pytest.mark.slow(reason="the same with fewer kills is among the quick ones"))],
)
def test_a_run_killed_again_and_again_ends_with_the_same_bits(tmp_path: Path, times: int) -> None:
    seconds_or_killed(tmp_path / "warm", None)
    whole = seconds_or_killed(tmp_path / "whole", None)
    assert whole is not None
    moments, kills, attempt = random.Random(1), 0, 0
    while kills < times:
        # Moments all over the run: each goes on for about a sixteenth of it, behind its start.
        ended = seconds_or_killed(tmp_path / f"killed-{attempt}", moments.uniform(0.02, 0.02 + whole / 8))
        kills += ended is None
        attempt += ended is not None
    assert seconds_or_killed(tmp_path / f"killed-{attempt}", None) is not None
    last = f"step-{SCHEDULE['steps']:08d}"
    for folder in sorted(tmp_path.glob("killed-*")):
        tensors, expected = toy.tensors(folder / last), toy.tensors(tmp_path / "whole" / last)
        assert [name for name in expected if not torch.equal(tensors[name], expected[name])] == []
        states = [json.loads((path / last / "state.json").read_text()) for path in (folder, tmp_path / "whole")]
        assert states[0] == states[1]
