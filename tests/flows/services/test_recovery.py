"""Which runs are started again, and which are not made up for."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.services import prefect_api, recovery, service

BY_HAND = {"killed": ("RUNNING",), "done": ("RUNNING", "COMPLETED"), "alive": ("RUNNING",)}


def due(deployment: str, name: str, **more: Any) -> dict[str, Any]:
    return {"deployment_id": deployment, "name": name, "auto_scheduled": True, "run_count": 0, **more}


def test_the_last_run_of_each_deployment_makes_up_for_those_before_it() -> None:
    runs = [due("train", "wednesday"), due("watch", "noon"), due("train", "tuesday"), due("train", "monday")]
    assert [run["name"] for run in recovery.superseded(runs)] == ["tuesday", "monday"]


def test_what_a_person_wanted_or_had_begun_is_never_dropped() -> None:
    runs = [
        due("train", "tuesday"),
        due("train", "by hand", auto_scheduled=False),
        due("train", "ended by down", run_count=1),
    ]
    assert list(recovery.superseded(runs)) == []


def test_restarts_are_counted_by_a_tag() -> None:
    assert recovery.restarts({"tags": ["lmforge"]}) == 0
    assert recovery.restarts({"tags": ["lmforge", "restarted 2"]}) == 2


def test_a_run_that_never_began_hides_no_crashed_one(prefect_url: str) -> None:
    server = Server(f"{prefect_url}/api")
    crashed = server.run("at work", "RUNNING", "CRASHED")
    server.run("dropped as another was at work", "CANCELLED")
    recovery.start_crashed(server.api)
    assert server.state(crashed) == "AwaitingRetry"


def test_a_later_run_takes_the_place_of_a_crashed_one(prefect_url: str) -> None:
    server = Server(f"{prefect_url}/api")
    crashed = server.run("at work", "RUNNING", "CRASHED")
    server.run("after it", "RUNNING", "COMPLETED")
    recovery.start_crashed(server.api)
    assert server.state(crashed) == "Crashed"


def test_while_one_waits_to_go_on_no_other_is_started(prefect_url: str) -> None:
    server = Server(f"{prefect_url}/api")
    before = server.run("before", "RUNNING", "CRASHED")
    after = server.run("after", "RUNNING", "CRASHED")
    recovery.start_crashed(server.api)
    recovery.start_crashed(server.api)
    assert (server.state(before), server.state(after)) == ("Crashed", "AwaitingRetry")


def test_runs_by_hand_without_a_process_are_closed(
    prefect_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = Server(f"{prefect_url}/api")
    killed, done, alive = (server.run(name, *states) for name, states in BY_HAND.items())
    for run in (killed, done):
        (recovery.BY_HAND / run).parent.mkdir(parents=True, exist_ok=True)
        (recovery.BY_HAND / run).touch()
    recovery.note_by_hand(alive)
    recovery.close_lost("http://127.0.0.1:9/api")  # where nobody answers
    recovery.close_lost(server.api)
    assert [server.state(run) for run in (killed, done, alive)] == ["Crashed", "Completed", "Running"]
    assert [path.name for path in recovery.BY_HAND.iterdir()] == [alive]


class Server:
    """Prefect's server, with a deployment `train`; what happens to its runs is told it as a worker would."""

    def __init__(self, api: str) -> None:
        self.api = api
        if not self._ask("/work_pools/filter", work_pools={"name": {"any_": [service.POOL]}}):
            self._ask("/work_pools/", name=service.POOL, type="process")
        flow = self._ask("/flows/", name="recovered")["id"]
        self._deployment = self._ask("/deployments/", name="train", flow_id=flow, work_pool_name=service.POOL)["id"]

    def run(self, name: str, *states: str) -> str:
        """A run that was due later than all others, and then went through these states."""
        due = {"scheduled_time": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
        scheduled = {"type": "SCHEDULED", "state_details": due}
        made = self._ask(f"/deployments/{self._deployment}/create_flow_run", name=name, state=scheduled)
        for state in states:
            self._ask(f"/flow_runs/{made['id']}/set_state", state={"type": state}, force=True)
        return str(made["id"])

    def state(self, run: str) -> str:
        return str(prefect_api.ask(self.api, "GET", f"/flow_runs/{run}")["state_name"])

    def _ask(self, path: str, **body: Any) -> Any:
        return prefect_api.ask(self.api, "POST", path, body)
