"""How a run of `train` begins and ends: its name, the policy's no, what its state says, and who is told."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from components.evaluation.statistics import Interval
from components.registry.decision import Decision, Group, Rule
from components.registry.store import Version
from flows.pipeline import train
from flows.pipeline.release import Release
from flows.processes import locks
from flows.retraining import decision_log
from flows.retraining.usage import UsageMeter
from flows.services import prefect_api, recovery
from tests.flows.support.retraining import add, write

VERSION = Version("lmforge-assistant", 4, "00", datetime(2026, 11, 24, tzinfo=UTC))


def rule(group: Group, name: str, value: float, *, holds: bool = True) -> Rule:
    return Rule(group, name, Interval(value, value, value), None, "more", "holds" if holds else "fails")


def release(promote: bool, *rules: Rule, aliases: tuple[str, ...] = (), outcome: str = "") -> Release:
    return Release(VERSION, Decision(promote, "champion", rules), aliases, outcome, refused=False)


def test_the_end_of_a_run_says_what_became_of_the_model() -> None:
    gain = rule("gain", "change in bits per byte", -0.0312)
    lost = [rule("losses", f"change in {name}", -0.1, holds=False) for name in ("topic", "language zh", "source films")]
    promoted = release(True, gain, aliases=("champion",))
    assert (str(promoted), promoted.event) == ("version 4 promoted: -0.031 bits per byte", "promoted")
    kept = release(False, gain, *lost)
    assert (str(kept), kept.event) == ("version 4 kept back by topic, language zh and 1 more", None)
    waits = release(True, gain, aliases=("challenger",), outcome="version 4 waits for approval: …")
    assert (str(waits), waits.event) == ("version 4 waits for approval: …", "waits")
    refused = replace(waits, outcome="version 4 was rejected by Ada: nothing is promoted", refused=True)
    assert (str(refused), refused.event) == (refused.outcome, None)
    floors = Decision(True, "floors", (rule("floors", "topic", 0.5),))
    first = replace(promoted, decision=floors)
    assert str(first) == "version 4 promoted: promote: all 1 rules against the floors hold"
    again = replace(promoted, decision=Decision(False, "itself", ()))
    assert (str(again), again.event) == ("version 4: it is the champion already: nothing to decide", None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data and settings, and no pipeline; a failure is told to a file."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    add(tmp_path, "first", 1000)
    text = (tmp_path / "params.yaml").read_text()
    tell = '["sh", "-c", "echo \\"$LMFORGE_EVENT $LMFORGE_TEXT\\" > told.txt"]'
    (tmp_path / "params.yaml").write_text(text.replace("command: null", f"command: {tell}"))
    return tmp_path


@pytest.fixture
def api(prefect_url: str) -> Iterator[str]:
    """The address of a server that flows of this process talk to."""
    with temporary_settings({PREFECT_API_URL: f"{prefect_url}/api"}):
        yield f"{prefect_url}/api"


def ask(api: str, what: str, run: object) -> Any:
    return prefect_api.ask(api, "POST", f"/{what}/filter", {"flow_runs": {"id": {"any_": [str(run)]}}})


@pytest.mark.xdist_group("prefect")
def test_a_run_that_does_not_train_says_why(folder: Path, api: str) -> None:
    meter = UsageMeter("pretrain", "the last run", 1)
    meter.finish()
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("cooldown_minutes: 0", "cooldown_minutes: 60"))
    state = train.train(trigger="calendar", return_state=True)
    reason = "the last training ended 0 minutes ago, within the cooldown of 60"
    assert (state.name, state.message) == ("Skipped", f"no: {reason}")
    assert state.is_completed()
    (record,) = decision_log.decisions()
    assert (record.trigger, record.train, record.reason) == ("calendar", False, reason)
    assert locks.is_held(recovery.BY_HAND / record.flow_run), "other commands see that it has a process"
    (run,) = ask(api, "flow_runs", record.flow_run)
    assert run["name"] == f"calendar {datetime.now(UTC).astimezone():%Y-%m-%d}"
    (artifact,) = ask(api, "artifacts", record.flow_run)
    assert (artifact["key"], artifact["data"]) == ("decision", f"no: {reason}")
    assert not (folder / "told.txt").exists()


@pytest.mark.xdist_group("prefect")
@pytest.mark.usefixtures("api")
def test_a_person_is_not_refused_and_a_failure_is_told(folder: Path) -> None:
    state = train.train(trigger="Ada tries it", return_state=True)
    assert state.is_failed()
    assert [(record.trigger, record.train) for record in decision_log.decisions()] == [("Ada tries it", True)]
    assert (folder / "told.txt").read_text().startswith("failed train (Ada tries it): Failed: ")
    assert list(json.loads((folder / "data/listing.json").read_text())) == ["notes"]
