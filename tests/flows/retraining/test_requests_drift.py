"""Drift of requests: the event that it sends, once, and what the policy then knows of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from components.data import listing
from components.traffic.drift import Drift
from components.traffic.watching import WatchedModel
from flows.retraining import requests_drift
from flows.retraining.events import DRIFTED
from flows.services import prefect_api
from tests.flows.support.registry import MODEL
from tests.flows.support.retraining import add, write
from tests.flows.support.running import wait_until


def watched(index: float) -> WatchedModel:
    dimension = Drift("inputs", "words", index, 0.1, "bitcoin", 0.0, 0.2, drifted=index > 0.25)
    return WatchedModel(MODEL, 2, 1200, 0, {"up": 0, "down": 0}, 0, 0.25, (dimension,))


@pytest.fixture
def folder(registry: Path) -> Path:
    """A registry whose champion is version 2, and a source of files."""
    write(registry)
    add(registry, "asked", 1000)
    return registry


@pytest.fixture
def api(prefect_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PREFECT_API_URL", f"{prefect_url}/api")
    with temporary_settings({PREFECT_API_URL: f"{prefect_url}/api"}):
        yield f"{prefect_url}/api"


def sent(api: str) -> list[Any]:
    query = {"filter": {"event": {"name": [DRIFTED]}, "resource": {"id": ["lmforge.requests"]}}}
    digest = listing.digest(listing.look())
    found = prefect_api.ask(api, "POST", "/events/filter", query)["events"]
    return [event["payload"] for event in found if event["payload"]["listing"] == digest]


@pytest.mark.xdist_group("prefect")
def test_a_drift_is_an_event_that_starts_a_training_once(folder: Path, api: str) -> None:
    found = watched(0.41)
    assert requests_drift.summary(found) == f"{MODEL} version 2: drift 0.41 (words of inputs) in 1,200 requests"
    assert requests_drift.act(found) == "a training run is requested"
    (payload,) = wait_until(lambda: sent(api), bool)
    assert payload == {"figure": 0.41, "threshold": 0.25, "listing": listing.digest(listing.look())}
    assert "requested before" in requests_drift.act(found)
    add(folder, "more", 500)
    assert requests_drift.act(found) == "a training run is requested"


def test_without_drift_or_services_nothing_is_sent(folder: Path) -> None:  # noqa: ARG001
    assert "nothing is beyond" in requests_drift.act(watched(0.2))
    assert "`lmforge up` does not run" in requests_drift.act(watched(0.4))


def test_the_policy_knows_the_drift_of_the_present_champion(folder: Path) -> None:  # noqa: ARG001
    assert requests_drift.noted_drift([MODEL]) == 0.0
    requests_drift.FOUND.parent.mkdir(parents=True, exist_ok=True)
    requests_drift.FOUND.write_text(json.dumps({MODEL: {"version": 2, "drift": 0.41}}))
    assert requests_drift.noted_drift([MODEL]) == 0.41
    requests_drift.FOUND.write_text(json.dumps({MODEL: {"version": 1, "drift": 0.41}}))
    assert requests_drift.noted_drift([MODEL]) == 0.0
