"""Training: exact after a stop, the same in micro-batches, and what it does with steps that would do harm."""

import itertools
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from components.core.errors import BadSettings
from components.training import initialization
from components.training.data.batches import Batch, Prefetch
from components.training.engine.step import WINDOW, Spikes, Stepper
from tests.components.support import toy
from tests.components.support.adapted import SETTINGS
from tests.components.support.golden import GOLDEN, golden_run
from tests.components.support.sizes import pretrain
from tests.components.support.toy import VOCABULARY, StoppedTraining, StoppingAt, WithoutTargets, rows, run


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("stop", "optimizer"), [(0, "muon"), (2, "muon"), (3, "muon"), (7, "adamw"), (11, "muon")])
def test_a_stopped_run_ends_with_the_same_bits(tmp_path: Path, stop: int, optimizer: str) -> None:
    _, history, _ = run(tmp_path / "whole", optimizer=optimizer)
    with pytest.raises(StoppedTraining):
        run(tmp_path / "cut", StoppingAt(stop), optimizer=optimizer)
    _, again, _ = run(tmp_path / "cut", optimizer=optimizer)
    assert json.dumps(asdict(again)) == json.dumps(asdict(history))
    assert_same_state(tmp_path / "cut/step-00000012", tmp_path / "whole/step-00000012")


@pytest.mark.parametrize(("stop", "changes"), [(2, {}), (7, {"optimizer": "adamw", "activation_checkpointing": True})])
def test_a_stopped_training_of_adapters_ends_with_the_same_bits(
    tmp_path: Path, stop: int, changes: dict[str, object]
) -> None:
    weights, history, _ = run(tmp_path / "whole", adapters=SETTINGS, **changes)
    with pytest.raises(StoppedTraining):
        run(tmp_path / "cut", StoppingAt(stop), adapters=SETTINGS, **changes)
    found, again, _ = run(tmp_path / "cut", adapters=SETTINGS, **changes)
    assert json.dumps(asdict(again)) == json.dumps(asdict(history))
    assert_same_state(tmp_path / "cut/step-00000012", tmp_path / "whole/step-00000012")
    assert all(torch.equal(found[name], weight) for name, weight in weights.items())


def test_the_frozen_base_is_in_no_checkpoint_and_stays_as_it_was(tmp_path: Path) -> None:
    weights, history, _ = run(tmp_path / "x", adapters=SETTINGS, steps=30, checkpoint_every=15)
    assert history.validation[-1]["nats"] < history.validation[0]["nats"]
    kept = toy.tensors(tmp_path / "x/step-00000030")
    assert all(".adapters." in name for name in kept if name.startswith(("model.", "optimizer.")))
    assert {name.removeprefix("model.") for name in kept if name.startswith("model.")} == {
        name for name in weights if ".adapters." in name
    }
    base = initialization.random(pretrain(), VOCABULARY).state_dict()
    for name, weight in base.items():
        owner, _, kind = name.rpartition(".")
        assert torch.equal(weight, weights[name] if name in weights else weights[f"{owner}.base.{kind}"])


def assert_same_state(one: Path, other: Path) -> None:
    """Weights, optimizers, spikes and random numbers, bit for bit."""
    tensors, expected = toy.tensors(one), toy.tensors(other)
    assert list(tensors) == list(expected)
    assert [name for name in tensors if not torch.equal(tensors[name], expected[name])] == []


def test_a_hundred_steps_as_they_always_were(tmp_path: Path) -> None:
    """Other processors round otherwise, and Muon works in bf16: of its figures fewer digits stay.

    To take the figures as they are now for right: `python -m tests.components.support.golden`.
    """
    golden = json.loads(GOLDEN.read_text())
    for optimizer, tolerance in {"adamw": 1e-5, "muon": 2e-2}.items():
        found = golden_run(tmp_path / optimizer, optimizer)
        for step, (one, other) in enumerate(zip(found, golden[optimizer], strict=True), 1):
            assert one == pytest.approx(other, rel=tolerance), f"{optimizer}, step {step}"


def test_micro_batches_give_the_same_gradient(tmp_path: Path) -> None:
    _, whole, _ = run(tmp_path / "1", micro_batch_size=4)
    _, parts, _ = run(tmp_path / "2", micro_batch_size=1)
    for one, other in zip(whole.training, parts.training, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


def test_the_loss_falls_and_rows_and_samples_are_observed_as_they_come(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, history, observed = run(tmp_path / "x", steps=60, log_every=20, validate_every=30, checkpoint_every=1000)
    assert [row["step"] for row in history.training] == [20, 40, 60]
    assert [row["tokens"] for row in history.training] == [20 * 64, 40 * 64, 60 * 64]
    assert history.validation[-1]["nats"] < history.validation[0]["nats"]
    rows = sorted(history.training + history.validation, key=lambda row: (row["step"], "nats" in row))
    assert [step for step, _ in observed.rows] == [row["step"] for row in rows]
    assert all(row.items() <= told.items() for row, (_, told) in zip(rows, observed.rows, strict=True))
    (first, text), _ = observed.texts.items()
    assert (first, list(observed.texts)[1]) == ("samples/step-00000030.txt", "samples/step-00000060.txt")
    assert text in capsys.readouterr().out


def test_the_norm_of_the_gradient_is_that_of_its_kinds(tmp_path: Path) -> None:
    _, history, _ = run(tmp_path / "x", steps=3)
    for row in history.training:
        kinds = [value for name, value in row.items() if name.startswith("gradient_norm/")]
        assert len(kinds) == 4
        assert row["gradient_norm"] == pytest.approx(np.linalg.norm(kinds), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_step_without_a_number_leaves_everything_as_it_was(optimizer: str) -> None:
    settings = pretrain(optimizer=optimizer)
    stepper = Stepper(initialization.random(settings, VOCABULARY), settings.optimization, "ddp")
    data = Prefetch(WithoutTargets((2,)), 4, 2)
    for number in range(2):
        stepper.step(number, data.take(number * 4), log=False)
    before = {name: tensor.clone() for name, tensor in stepper.tensors().items()}
    figures = stepper.step(2, data.take(8), log=False)
    assert figures["loss"].isnan()
    assert figures["streak"] == 1
    changed = [name for name, tensor in stepper.tensors().items() if not torch.equal(tensor, before[name])]
    assert changed == ["spikes.skipped", "spikes.streak", "spikes.steps"]


def test_a_spike_is_skipped_and_training_goes_on(tmp_path: Path) -> None:
    def read(places: np.ndarray) -> Batch:
        batch = rows(places)
        return Batch(batch.tokens_BT, batch.targets_BT.flip(1)) if places[0] // 4 == 180 else batch

    _, history, _ = run(tmp_path / "x", read, steps=190, optimizer="adamw", checkpoint_every=1000)
    assert [row["skipped_steps"] for row in history.training[178:]] == [0, 0, *[1] * 10]
    assert history.training[180]["loss"] > 3 > 0.5 > history.training[-1]["loss"]


def test_only_what_is_far_above_the_last_steps_is_a_spike() -> None:
    spikes = Spikes(torch.device("cpu"), WINDOW + 24)

    def judge(loss: Tensor, norm: Tensor) -> bool:
        return bool(spikes.judge(next(steps), loss, norm))

    steps = itertools.count()
    chance = torch.Generator().manual_seed(1)
    for _ in range(WINDOW):
        assert not judge(2 + torch.rand((), generator=chance), torch.rand((), generator=chance))
    assert not judge(torch.tensor(3.2), torch.tensor(1.0))
    assert not judge(torch.tensor(0.1), torch.tensor(0.0))
    assert judge(torch.tensor(5.0), torch.tensor(0.5))
    assert judge(torch.tensor(2.5), torch.tensor(4.0))
    assert spikes.skipped() == [WINDOW + 3, WINDOW + 4]
    again = [judge(torch.tensor(20.0), torch.tensor(0.5)) for _ in range(20)]
    assert again == sorted(again, reverse=True), "what comes again and again has to become usual"
    assert 3 < sum(again) < 20


def test_bad_rows_are_passed_over_after_a_way_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[int] = []

    def read(places: np.ndarray) -> Batch:
        seen.append(int(places[0]) // 4)
        return WithoutTargets((7, 8, 9, 10))(places)

    _, history, _ = run(tmp_path / "x", read)
    # Three skipped in a row are the limit: from step 10 back to 6, and on with the rows behind those of step 10.
    assert seen[:17] == list(range(17))
    assert [row["step"] for row in history.training] == list(range(1, 13))
    # Step 7 meets the last bad rows, and is skipped; that is no streak.
    assert [row["skipped_steps"] for row in history.training] == [0] * 6 + [1] * 6
    assert "3 steps in a row were skipped: from step 10 back to 6" in capsys.readouterr().out


@pytest.mark.parametrize("stop", [8, 12, 15])
def test_a_run_stopped_around_a_way_back_ends_with_the_same_bits(tmp_path: Path, stop: int) -> None:
    bad = WithoutTargets((7, 8, 9, 10))
    _, history, _ = run(tmp_path / "whole", bad)
    with pytest.raises(StoppedTraining):
        run(tmp_path / "cut", StoppingAt(stop, bad))
    _, again, _ = run(tmp_path / "cut", bad)
    assert json.dumps(asdict(again)) == json.dumps(asdict(history))
    assert_same_state(tmp_path / "cut/step-00000012", tmp_path / "whole/step-00000012")


def test_a_run_that_diverges_whatever_is_passed_over_ends_with_a_line(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"diverged at step \d+: .* 2 rollbacks .*lower optimization\.learning_rate"):
        run(tmp_path / "x", learning_rate=1e30, max_gradient_norm=1e30, steps=40)


def test_a_checkpoint_is_never_taken_in_a_streak(tmp_path: Path) -> None:
    run(tmp_path / "x", WithoutTargets((5,)), checkpoint_every=6)
    assert [path.name for path in sorted((tmp_path / "x").iterdir())] == ["step-00000000", "step-00000012"]
