"""The curve of a champion over the nights."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from components import tracking
from components.registry import nightly_scores
from components.registry.store import Version

SCORES = {"bits_per_byte": {"all": {"value": 1.5}}, "tasks": {"topic": {"value": 0.5}, "answers": {"value": 0.25}}}


def test_the_figures_of_a_night() -> None:
    assert nightly_scores.metrics(SCORES) == {"bits_per_byte": 1.5, "answers": 0.25, "topic": 0.5}
    assert nightly_scores.metrics({"tasks": {"topic": {"value": 0.5}}}) == {"topic": 0.5}, "it only labels"


def test_every_night_is_a_point_of_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    first = Version("lmforge-assistant", 1, "abc", datetime.now(UTC))
    second = Version("lmforge-assistant", 2, "def", datetime.now(UTC))
    other = Version("lmforge-other", 1, "abc", datetime.now(UTC))
    run = nightly_scores.append(first, {"topic": 0.5})
    assert nightly_scores.append(second, {"topic": 0.75}) == run
    assert nightly_scores.append(other, {"topic": 0.1}) != run
    store = tracking.client()
    topic = [(point.step, point.value) for point in store.get_metric_history(run, "topic")]
    assert topic == [(1, 0.5), (2, 0.75)]
    assert [point.value for point in store.get_metric_history(run, "version")] == [1, 2]
