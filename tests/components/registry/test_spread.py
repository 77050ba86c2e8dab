"""What the gate knows of the spread of seeds, and when it does not hold."""

import math
import statistics
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from components.core import params
from components.evaluation.statistics import Interval, widened
from components.registry import spread
from components.registry.spread import NoiseRecord, Spread

ROOT = Path(__file__).parents[3]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The settings of the repository, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/sources.yaml").write_bytes((ROOT / "data/sources.yaml").read_bytes())
    content = params.load(ROOT / params.PARAMS)
    dump(content)
    return content


def dump(content: dict[str, object]) -> None:
    YAML().dump(content, params.PARAMS)


def test_a_measurement_holds_for_its_settings_and_data_whatever_the_seed(settings: dict) -> None:
    assert spread.find("assistant").note == "not measured (`lmforge noise`)"
    NoiseRecord(200, {1: 2.0, 2: 2.02}).write(spread.key("assistant"))
    found = spread.find("assistant")
    assert (found.bits_per_byte, found.steps) == ((2.0, 2.02), 200)
    assert found.note == "2 seeds of 200 steps, standard deviation 0.0141"

    settings["pretrain"]["optimization"]["seed"] = 7
    settings["finetune"]["assistant"]["optimization"]["seed"] = 8
    settings["gate"]["min_gain"] = 0.5
    dump(settings)
    assert spread.find("assistant") == found

    settings["pretrain"]["model"]["depth"] = 5
    dump(settings)
    other = spread.find("assistant")
    assert not other.known
    assert other.note == "measured for other settings or data, so not counted (`lmforge noise`)"


@pytest.mark.usefixtures("settings")
def test_other_sources_end_a_measurement() -> None:
    NoiseRecord(200, {1: 2.0, 2: 2.02}).write(spread.key("assistant"))
    with Path("data/sources.yaml").open("a") as catalogue:
        catalogue.write("# another\n")
    assert not spread.find("assistant").known


@pytest.mark.usefixtures("settings")
def test_a_single_seed_says_nothing() -> None:
    NoiseRecord(200, {1: 2.0}).write(spread.key("assistant"))
    assert not spread.find("assistant").known


def test_the_interval_of_two_seeds_holds_as_often_as_stated() -> None:
    random = np.random.default_rng(1)
    trials, inside = 2000, 0
    for _ in range(trials):
        measured = Spread("", tuple(random.normal(2, 0.01, 4).tolist()))
        one, other = random.normal(2, 0.01, 2)
        inside += abs(one - other) < measured.half_width(0.95)
    assert inside / trials == pytest.approx(0.95, abs=3 * math.sqrt(0.05 * 0.95 / trials))


def test_the_half_width_is_that_of_student() -> None:
    bits = (2.0, 2.01, 2.03, 2.04, 2.07)
    assert Spread("", bits).half_width(0.95) == pytest.approx(2.776 * math.sqrt(2) * statistics.stdev(bits), rel=1e-3)


def test_independent_errors_add_as_squares() -> None:
    assert widened(Interval(1.0, 0.7, 1.0), 0.4) == Interval(1.0, 0.5, 1.4)
