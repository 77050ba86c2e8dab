"""The watcher: what it sees, what it says, and when it asks for a training."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from components import tracking
from components.core.recipe import model_name
from components.data import listing
from components.registry import store
from flows.processes import locks
from flows.retraining import decision_log, new_data, watch
from flows.retraining.decision_log import LoggedDecision
from flows.retraining.events import CHANGED, DRIFTED
from flows.services import prefect_api
from tests.flows.support.registry import MODEL
from tests.flows.support.retraining import SETTINGS, add, write
from tests.flows.support.running import wait_until


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a source of files, of which the first was trained on by version 1."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    write(tmp_path)
    add(tmp_path, "first", 1000)
    note_trained(MODEL, 1)
    return tmp_path


def note_trained(model: str, number: int) -> None:
    """A run on the files as they are now, which registered a version."""
    listing.refresh()
    new_data.note_trained(store.Version(model, number, "00", datetime.now(UTC)))


def register(model: str, versions: int) -> None:
    """So many versions in the registry; of their files nothing is read here."""
    registry = tracking.client()
    registry.create_registered_model(model)
    for _ in range(versions):
        registry.create_model_version(model, source="nowhere")


def make_champion(model: str, number: int | None) -> None:
    store.move(model, {store.CHAMPION: number, store.PREVIOUS: None, store.CHALLENGER: None})


@pytest.fixture
def events(prefect_url: str) -> Iterator[str]:
    """The address of a server that flows of this process talk to."""
    with temporary_settings({PREFECT_API_URL: f"{prefect_url}/api"}):
        yield f"{prefect_url}/api"


def look() -> str:
    return str(watch.watch_data(return_state=True).message)


def sent(api: str) -> list[Any]:
    """The payloads of all events about data that this folder's listings appear in."""
    query = {"filter": {"event": {"prefix": ["lmforge.data."]}}}
    found = prefect_api.ask(api, "POST", "/events/filter", query)["events"]
    digest = listing.digest(listing.look())
    return [(event["event"], event["payload"]) for event in found if event["payload"]["listing"] == digest]


@pytest.mark.xdist_group("prefect")
def test_small_arrivals_add_up_until_a_training_is_worth_it(folder: Path, events: str) -> None:
    assert look().startswith(f"nothing new since {MODEL} version 1 (20")

    add(folder, "second", 500)
    assert look() == "+125 tokens in notes, drift 0.00 (source): below min_new_tokens 200"
    assert look() == "+125 tokens in notes, drift 0.00 (source): below min_new_tokens 200"
    (refused,) = decision_log.decisions()
    assert (refused.trigger, refused.train) == ("data: +125 tokens", False)
    assert sent(events) == []

    add(folder, "third", 500)
    assert look() == "+250 tokens in notes, drift 0.00 (source): a training run is requested"
    (event,) = wait_until(lambda: sent(events), bool)
    digest = listing.digest(listing.look())
    assert event == (CHANGED, {"sources": {"notes": 250}, "new_tokens": 250, "listing": digest})

    decision_log.note(
        LoggedDecision(datetime.now(UTC).isoformat(), "data", False, "the commit has another limit", "a-run", "00")
    )
    assert look().endswith("a training run was requested; the run a-run answered: the commit has another limit")
    decision_log.note(LoggedDecision(datetime.now(UTC).isoformat(), "data: +250 tokens", True, "yes", "a-run", digest))
    assert "a training of these files was begun on 20" in look()
    assert len(sent(events)) == 1

    add(folder, "fourth", 500)
    with locks.hold("run", "taken"):
        assert look().endswith("a training run is at work or waits already")


@pytest.mark.xdist_group("prefect")
def test_a_drift_is_reason_enough(folder: Path, events: str) -> None:
    for number in range(90):
        add(folder, f"short{number}", 4)
    assert look().endswith("(length): a training run is requested")
    ((name, payload),) = wait_until(lambda: sent(events), bool)
    assert name == DRIFTED
    assert payload["figure"] > payload["threshold"] == 0.25


def test_what_is_wanted_because_of_the_drift_says_so() -> None:
    assert watch.choose(120_340, 0.1, SETTINGS).trigger == "data: +120,340 tokens"
    assert watch.choose(120_340, 0.31, SETTINGS).trigger == "drift: 0.31 > 0.25"
    assert watch.choose(600_000, 0.31, SETTINGS).trigger == "data: +600,000 tokens"
    assert watch.choose(0, 0.31, replace(SETTINGS, min_new_tokens=0)).kind == "data"


def test_files_that_went_are_no_new_tokens(folder: Path) -> None:
    add(folder, "second", 400)
    (folder / "corpus" / "first.txt").unlink()
    assert new_data.new_tokens(listing.look()) == {"notes": 100}
    (folder / "corpus" / "second.txt").unlink()
    (folder / "corpus" / "copy.txt").write_text(("first" * 1000)[:1000])
    assert new_data.new_tokens(listing.look()) == {}
    assert watch.describe({}, 0.0, "") == "files are gone, none is new"


def test_the_tokenizer_says_how_many_bytes_a_token_has(folder: Path) -> None:
    add(folder, "second", 400)
    new_data.MANIFEST.parent.mkdir(parents=True)
    new_data.MANIFEST.write_text(json.dumps({"shards": [{"tokens": 100, "bytes": 300}, {"tokens": 100, "bytes": 200}]}))
    assert new_data.new_tokens(listing.look()) == {"notes": 160}


def test_the_drift_is_against_the_champion(folder: Path) -> None:
    for number in range(90):
        add(folder, f"short{number}", 4)
    note_trained(MODEL, 2)
    last = new_data.last_trained()
    assert last
    assert (last.model, last.version) == (MODEL, 2)
    assert new_data.moved(listing.look()) == (0.0, ""), "no champion: against the last version"
    register(MODEL, versions=2)
    make_champion(MODEL, 2)
    assert new_data.moved(listing.look()) == (0.0, "")
    make_champion(MODEL, 1)
    figure, dimension = new_data.moved(listing.look())
    assert figure > 0.25
    assert dimension == "length"
    make_champion(MODEL, 2)
    (new_data.TRAINED / MODEL / "2.json").unlink()
    assert new_data.moved(listing.look()) == (figure, dimension), "the only version whose data are known"


def test_of_several_champions_the_one_that_the_data_moved_from_most_counts(folder: Path) -> None:
    settings = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(settings.replace("{assistant:", "{other: {base: models/other}, assistant:"))
    for number in range(90):
        add(folder, f"short{number}", 4)
    for model in (MODEL, other := model_name("other")):
        register(model, versions=1)
        make_champion(model, 1)
    note_trained(other, 1)
    assert new_data.moved(listing.look())[1] == "length"
    make_champion(MODEL, None)
    assert new_data.moved(listing.look()) == (0.0, "")
