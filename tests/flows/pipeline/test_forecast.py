"""What a person is told of a run before its first stage starts."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.training.engine import pace
from components.training.engine.pace import Pace
from flows.dvc.graph import Plan, Stage
from flows.pipeline import forecast
from tests.flows.support.running import REPOSITORY

NAMES = ("ingest", "pretrain", "finetune@assistant", "evaluate@assistant")
STALE = Plan(tuple(Stage(name, "", (), (), (), ("never run",)) for name in NAMES))
FRESH = Plan(tuple(replace(stage, reasons=()) for stage in STALE.stages))


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default settings in a folder, counted once."""
    folder = tmp_path_factory.mktemp("counted")
    for name in ("presets", "data"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("raw", "prepared", "tokens"))
    shutil.copy(REPOSITORY / "params.yaml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        with forecast.counting():
            assert forecast.lines(FRESH) == [], "nothing is said, and nothing waited for"
            assert forecast.trainings(FRESH) == {}
            assert len(forecast.lines(STALE)) >= 1
    return folder


@pytest.fixture
def folder(counted: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same, without a memory of earlier runs."""
    monkeypatch.chdir(counted)
    yield counted
    shutil.rmtree(counted / pace.FOLDER, ignore_errors=True)


def flops_per_token() -> int:
    runs = forecast._load()
    assert runs is not None
    return runs[forecast.PRESENT].trainings["pretrain"].flops_per_token


@pytest.mark.usefixtures("folder")
def test_a_quick_run_is_told_with_the_parts_that_take_most() -> None:
    pace.remember("pretrain", Pace(20_000, flops_per_token()))
    (line,) = forecast.lines(STALE)
    assert re.fullmatch(r"at most about [\d.]+ (s|min) on this machine: (\S+ [\d.]+ (s|min)(, )?){3}", line), line
    assert forecast.lines(FRESH) == []


@pytest.mark.usefixtures("folder")
def test_a_slow_run_is_told_with_a_preset_that_takes_less() -> None:
    pace.remember("pretrain", Pace(200, flops_per_token()))
    total, presets = forecast.lines(STALE)
    assert re.match(r"at most about [\d.]+ h on this machine: finetune@assistant [\d.]+ h, pretrain ", total), total
    assert re.match(r"with a preset it takes less: smoke [\d.]+ (s|min), ", presets), presets
    assert presets.endswith("`lmforge preset smoke && make run` tries the first")
    assert "gpu" not in presets


@pytest.mark.usefixtures("folder")
def test_the_next_run_knows_what_the_last_one_took() -> None:
    pace.remember("pretrain", Pace(20_000, flops_per_token()))
    forecast.remember("ingest", 500.0)
    (line,) = forecast.lines(STALE)
    assert "on this machine: ingest 8.3 min, " in line


def test_counts_of_other_settings_are_not_taken(folder: Path) -> None:
    path = folder / "params.yaml"
    text = path.read_text()
    path.write_text(text.replace("sequence_length: 256", "sequence_length: 128"))
    assert forecast.lines(STALE) == [], "nobody counts, so nothing is told"
    path.write_text(text)
    assert len(forecast.lines(STALE)) >= 1


def test_what_cannot_be_counted_is_told(folder: Path) -> None:
    path = folder / "params.yaml"
    text = path.read_text()
    path.write_text(text.replace("sources: data/sources.yaml", "sources: data/none.yaml"))
    with forecast.counting():
        assert forecast.lines(STALE) == ["how long it takes is not known: data/none.yaml does not exist"]
    path.write_text(text)
