"""Which runs are started again, and which are not made up for."""

from typing import Any

from flows.services import recovery


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
