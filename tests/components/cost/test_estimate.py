"""The cost of a training in words, with a speed from the last run where there was one."""

from pathlib import Path

import pytest

from components.cost import estimate
from components.cost.estimate import Training, describe
from components.training import pace
from components.training.pace import Pace

TRAINING = Training(weights=4_000_512, tokens=1_146_880, flops_per_token=25_000_000)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does not tell what it draws."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(estimate, "POWERCAP", tmp_path / "powercap")


def test_the_first_one_is_a_guess() -> None:
    assert describe("pretrain", TRAINING, peak=0.9e12) == (
        "4.0M weights, 1.1M tokens, 29 TFLOP: about 1.5 min at 12,600 tokens/s "
        "(a guess: 35% of the matrix peak, 900 GFLOP/s)"
    )


def test_then_it_is_as_last_time() -> None:
    pace.remember("pretrain", Pace(tokens_per_second=11_500, flops_per_token=25_000_000))
    line = "4.0M weights, 1.1M tokens, 29 TFLOP: about 1.7 min at 11,500 tokens/s (as last time)"
    assert describe("pretrain", TRAINING, peak=0.9e12) == line


def test_another_size_runs_at_the_speed_of_the_last() -> None:
    pace.remember("pretrain", Pace(tokens_per_second=11_500, flops_per_token=50_000_000))
    assert describe("finetune@assistant", TRAINING, peak=0.9e12).endswith(
        "about 50 s at 23,000 tokens/s (575 GFLOP/s, as last time)"
    )
    pace.remember("finetune@assistant", Pace(tokens_per_second=10_000, flops_per_token=25_000_000))
    pace.remember("pretrain", Pace(tokens_per_second=1, flops_per_token=1))
    assert "10,000 tokens/s (as last time)" in describe("finetune@assistant", TRAINING, peak=0.9e12)


def test_energy_where_the_machine_tells(tmp_path: Path) -> None:
    for package in range(2):
        folder = tmp_path / f"powercap/intel-rapl:{package}"
        folder.mkdir(parents=True)
        (folder / "constraint_0_power_limit_uw").write_text("65000000\n")
    assert estimate.power_limit() == 130
    assert describe("pretrain", TRAINING, peak=0.9e12).endswith(", at most 3.3 Wh")

    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 700.00\necho 700.00\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert estimate.power_limit() == 1400


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (999.4, "", "999"),
        (999.6, "", "1.0k"),
        (4_000_512, "", "4.0M"),
        (124e6, "", "124M"),
        (2.6e9, "", "2.6B"),
        (2.9e13, "FLOP", "29 TFLOP"),
        (3.2e21, "FLOP", "3.2 ZFLOP"),
        (12, "Wh", "12 Wh"),
    ],
)
def test_numbers_are_short(number: float, unit: str, text: str) -> None:
    assert estimate._short(number, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5, "5 s"),
        (89, "89 s"),
        (95, "1.6 min"),
        (5000, "83 min"),
        (6000, "1.7 h"),
        (40 * 3600, "40 h"),
        (1e6, "12 days"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert estimate._duration(seconds) == text
