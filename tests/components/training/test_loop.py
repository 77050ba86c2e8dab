"""Training: exact after a stop, the same in micro-batches, ended by a loss that is no number."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from components.model.transformer import IGNORED, Transformer
from components.stage import BadSettings
from components.training import checkpoints
from components.training.batches import Batch
from components.training.loop import History, Job, Row, train
from components.training.pretrain import bits_per_byte, build
from tests.components.training.sizes import pretrain


class Stopped(Exception):
    """The test pulls the plug."""


def batch_of(step: int) -> Batch:
    rows = torch.randint(0, 50, (4, 17), generator=torch.Generator().manual_seed(step))
    rows[:, 1::2] = (rows[:, ::2][:, : rows[:, 1::2].shape[1]] * 7) % 50  # something to learn
    return Batch(rows[:, :-1], rows[:, 1:], torch.zeros(4, 16, dtype=torch.long))


def validate(model: Transformer) -> Row:
    return {"bits_per_byte": float(model.loss(*batch_of(10**6).to(torch.device("cpu"))))}


def run(
    folder: Path, batch: Callable[[int], Batch] = batch_of, **changes: object
) -> tuple[dict[str, Tensor], History, list[tuple[int, Row]]]:
    settings = pretrain(**changes)
    model = build(settings, vocab_size=50)
    reported: list[tuple[int, Row]] = []
    job = Job(
        stage="pretrain", model=model, batch=batch, validate=validate, settings=settings.optimization,
        checkpoints=folder, report=lambda step, row: reported.append((step, row)),
    )  # fmt: skip
    history = train(job)
    return dict(model.state_dict()), history, reported


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("stop", "optimizer"), [(0, "muon"), (2, "muon"), (3, "muon"), (7, "adamw"), (11, "muon")])
def test_a_stopped_run_ends_with_the_same_bits(tmp_path: Path, stop: int, optimizer: str) -> None:
    def until_stop(step: int) -> Batch:
        if step == stop:
            raise Stopped
        return batch_of(step)

    weights, history, _ = run(tmp_path / "whole", optimizer=optimizer)
    with pytest.raises(Stopped):
        run(tmp_path / "cut", until_stop, optimizer=optimizer)
    again, history_again, _ = run(tmp_path / "cut", optimizer=optimizer)
    assert history_again == history
    for name, value in weights.items():
        assert torch.equal(again[name], value), name


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    weights, history, _ = run(tmp_path / "whole")
    run(tmp_path / "cut", steps=12)
    newest = sorted((tmp_path / "cut").glob("step-*"))[-1] / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1] + b"\xff")
    found = checkpoints.newest(tmp_path / "cut")
    assert found is not None
    assert found.step == 9
    again, history_again, _ = run(tmp_path / "cut")
    assert history_again == history
    assert all(torch.equal(again[name], value) for name, value in weights.items())


def test_micro_batches_give_the_same_gradient(tmp_path: Path) -> None:
    _, whole, _ = run(tmp_path / "1", micro_batch_size=4)
    _, parts, _ = run(tmp_path / "2", micro_batch_size=1)
    for one, other in zip(whole.training, parts.training, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def test_the_loss_falls_and_rows_are_reported_as_they_come(tmp_path: Path) -> None:
    _, history, reported = run(tmp_path / "x", steps=60, log_every=20, validate_every=30, checkpoint_every=1000)
    assert [row["step"] for row in history.training] == [20, 40, 60]
    assert [row["step"] for row in history.validation] == [30, 60]
    assert history.validation[-1]["bits_per_byte"] < history.validation[0]["bits_per_byte"]
    rows = sorted(history.training + history.validation, key=lambda row: (row["step"], "bits_per_byte" in row))
    assert [{"step": step, **row} for step, row in reported] == rows


def test_a_loss_that_is_no_number_ends_the_run_with_a_line(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"diverged at step \d+ .*lower optimization\.learning_rate of pretrain"):
        run(tmp_path / "x", learning_rate=1e30, max_gradient_norm=1e30, steps=40)
    newest = checkpoints.newest(tmp_path / "x")
    assert newest is None or all(value.float().isfinite().all() for value in newest.tensors.values())


def test_the_key_tells_settings_and_files_apart(tmp_path: Path) -> None:
    file = tmp_path / "data.json"
    file.write_text("1")
    first = checkpoints.key(pretrain(), [file])
    assert checkpoints.key(pretrain(), [file]) == first
    assert checkpoints.key(pretrain(seed=2), [file]) != first
    file.write_text("2")
    assert checkpoints.key(pretrain(), [file]) != first


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    run(tmp_path / "x")
    assert [path.name for path in sorted((tmp_path / "x").iterdir())] == ["step-00000009", "step-00000012"]


def test_validation_counts_the_bytes_behind_the_targets_that_count() -> None:
    model = build(pretrain(), vocab_size=50)
    model.embedding.weight.data.zero_()  # every token equally likely
    batch = batch_of(0)
    targets = batch.targets_BT.clone()
    targets[:, 3:] = IGNORED
    lengths = torch.arange(50)
    with torch.inference_mode():
        row = bits_per_byte([Batch(batch.tokens_BT, targets, batch.segments_BT)], lengths)(model)
    kept = targets[targets != IGNORED]
    assert row["bits_per_byte"] == pytest.approx(len(kept) * math.log2(50) / float(lengths[kept].sum()), rel=1e-5)
