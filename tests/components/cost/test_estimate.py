"""How long a run takes and a training costs, in words, by earlier runs where there were any."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.cost import estimate
from components.cost.estimate import RunEstimate, TrainingEstimate, describe
from components.training.engine import pace
from components.training.engine.pace import Pace

TRAINING = TrainingEstimate(
    weights=4_000_512,
    trained=4_000_512,
    memory=48_000_000,
    tokens=1_146_880,
    flops_per_token=25_000_000,
    start=20,
    seconds=300,
)
WEIGHTS = "4.0M weights, 48 MB with gradients and optimizer"
ROAD = RunEstimate({"pretrain": TRAINING}, {"ingest": 10.0, "evaluate-base": 40.0, "encode": 5.0})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not tell what it draws."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(estimate, "POWERCAP", tmp_path / "powercap")


def test_the_first_training_is_by_the_probe() -> None:
    line = f"{WEIGHTS}, 1.1M tokens, 29 TFLOP: about 5 min at 3,823 tokens/s (by a probe of this machine)"
    assert describe("pretrain", TRAINING) == line
    assert ROAD.seconds("pretrain") == 320


def test_a_training_of_adapters_tells_what_is_trained() -> None:
    adapters = replace(TRAINING, trained=65_536, memory=17_000_000)
    assert describe("pretrain", adapters).startswith(
        "4.0M weights, 66k of them trained, 17 MB with gradients and optimizer, 1.1M tokens"
    )


def test_then_it_is_as_last_time() -> None:
    pace.remember("pretrain", Pace(tokens_per_second=11_500, flops_per_token=25_000_000))
    line = f"{WEIGHTS}, 1.1M tokens, 29 TFLOP: about 1.7 min at 11,500 tokens/s (as last time)"
    assert describe("pretrain", TRAINING) == line
    assert ROAD.seconds("pretrain") == pytest.approx(20 + 1_146_880 / 11_500)


def test_another_training_tells_of_models_of_its_size_alone() -> None:
    pace.remember("finetune@assistant", Pace(tokens_per_second=11_500, flops_per_token=25_000_000))
    assert "11,500 tokens/s (as last time)" in describe("pretrain", TRAINING)
    pace.remember("pretrain", Pace(tokens_per_second=10_000, flops_per_token=25_000_000))
    assert "10,000 tokens/s (as last time)" in describe("pretrain", TRAINING)
    for stage in ("pretrain", "finetune@assistant"):
        pace.remember(stage, Pace(tokens_per_second=50_000, flops_per_token=500_000))
    assert "by a probe" in describe("pretrain", TRAINING), "a small model says nothing of a larger one"


def test_another_stage_takes_what_it_took_also_with_more_data() -> None:
    ROAD.remember("ingest", seconds=25.0)
    assert ROAD.seconds("ingest") == 25
    assert RunEstimate({}, {"ingest": 100.0}).seconds("ingest") == 250
    assert ROAD.seconds("encode") == 5
    assert ROAD.seconds("a stage of somebody") is None
    ROAD.remember("a stage of somebody", seconds=25.0)


def test_a_run_is_told_in_a_line() -> None:
    assert estimate.foretell(ROAD, ["ingest", "encode", "pretrain", "evaluate-base"]) == (
        "at most about 6.2 min on this machine: pretrain 5.3 min, evaluate-base 40 s, ingest 10 s"
    )
    assert estimate.foretell(ROAD, ["mine", "encode"]) == (
        "at most about 5 s on this machine: encode 5 s, and mine, of which nothing is known"
    )


def test_presets_are_named_when_a_run_is_slow() -> None:
    presets = {"encoder": 900.0, "smoke": 80.0, "gpu": 90_000.0}
    assert estimate.quicker(1199, presets) == []
    assert estimate.quicker(1201, presets) == [
        "with a preset it takes less: smoke 80 s, encoder 15 min; `lmforge preset smoke && make run` tries the first"
    ]
    assert estimate.quicker(1201, {"gpu": 90_000.0}) == []


def test_energy_where_the_machine_tells(tmp_path: Path) -> None:
    for package in range(2):
        folder = tmp_path / f"powercap/intel-rapl:{package}"
        folder.mkdir(parents=True)
        (folder / "constraint_0_power_limit_uw").write_text("65000000\n")
    assert estimate.power_limit() == 130
    assert describe("pretrain", TRAINING).endswith(", at most 11 Wh")

    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 700.00\necho 700.00\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert estimate.power_limit() == 1400
