"""`lmforge up`: what it starts, what it starts again, and what becomes of a training that was at work."""

import re
from collections.abc import Iterator

import psutil
import pytest

from flows.retraining.events import CHANGED, DRIFTED
from flows.services import network
from tests.flows.support.running import still_alive, wait_until
from tests.flows.support.team import Team, at_work

pytestmark = pytest.mark.xdist_group("team")

ASK = """
from flows.processes import environment
environment.prepare()
from prefect.events import emit_event
emit_event({event!r}, resource={{"prefect.resource.id": "lmforge.data"}}, payload={payload!r})
"""

REGISTER_ALL = "from flows.retraining import deployments; deployments.main()"


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Everything up, with the toy for a training."""
    with at_work(tmp_path_factory.mktemp("team")) as team:
        yield team


def test_up_again_changes_nothing(team: Team) -> None:
    before = team.state()
    team.up()
    assert team.state() == before


def test_everything_is_registered_with_forms(team: Team) -> None:
    known = {
        found["name"]: found
        for found in team.ask("POST", "/deployments/filter", {})
        if found["entrypoint"].startswith("flows.")
    }
    watching = {"retrain-on-data", "watch-data", "watch-requests"}
    assert set(known) == {"train", "promote", "rollback", "evaluate-champion", *watching}
    for found in known.values():
        assert found["work_pool_name"] == "lmforge"
        assert found["description"], found["name"]
        assert found["job_variables"]["working_dir"] == str(team.folder)
        for name, field in found["parameter_openapi_schema"]["properties"].items():
            assert field.get("description"), f"{found['name']} has no word on {name}"
    assert known["train"]["schedules"][0]["schedule"]["cron"] == "0 2 * * *"
    assert known["train"]["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert known["retrain-on-data"]["schedules"] == []


def test_what_was_set_in_the_pages_stays(team: Team) -> None:
    train = team.ask("GET", "/deployments/name/train/train")
    schedule = train["schedules"][0]["id"]
    team.ask("PATCH", f"/deployments/{train['id']}/schedules/{schedule}", {"active": False})
    assert team.python(REGISTER_ALL, PREFECT_API_URL=team.api) == ""
    again = team.ask("GET", "/deployments/name/train/train")
    assert again["schedules"][0]["active"] is False

    params = team.folder / "params.yaml"
    params.write_text(params.read_text().replace("0 2 * * *", "0 4 * * *"))
    assert "train/train is registered" in team.python(REGISTER_ALL, PREFECT_API_URL=team.api)
    changed = team.ask("GET", "/deployments/name/train/train")
    assert [found["schedule"]["cron"] for found in changed["schedules"]] == ["0 4 * * *"]
    assert changed["id"] == train["id"]


@pytest.mark.parametrize(
    ("event", "payload", "trigger"),
    [
        (CHANGED, {"sources": {"notes": 120000}, "new_tokens": 120000}, "data: +120,000 tokens"),
        (DRIFTED, {"figure": 0.314, "threshold": 0.25}, "drift: 0.31 > 0.25"),
    ],
)
def test_other_data_ask_for_a_training(team: Team, event: str, payload: dict[str, object], trigger: str) -> None:
    team.python(ASK.format(event=event, payload=payload | {"listing": "abc"}), PREFECT_API_URL=team.api)
    found = wait_until(lambda: triggered(team), lambda runs: trigger in runs, 90)
    assert trigger in found, team.logs()
    team.ask("POST", f"/flow_runs/{found[trigger]}/set_state", {"state": {"type": "CANCELLING"}})


def triggered(team: Team) -> dict[str, str]:
    """The runs of `retrain-on-data`, by what triggered them."""
    retrain = team.ask("GET", "/deployments/name/train/retrain-on-data")["id"]
    runs = team.ask("POST", "/flow_runs/filter", {"flow_runs": {"deployment_id": {"any_": [retrain]}}})
    return {run["parameters"]["trigger"]: run["id"] for run in runs}


@pytest.mark.parametrize("name", ["mlflow", "prefect"])
def test_a_server_that_dies_is_back(team: Team, name: str) -> None:
    dead = psutil.Process(team.pid(name))
    below = dead.children(recursive=True)
    dead.kill()
    assert still_alive(below, 20) == []
    found = wait_until(lambda: team.state()["services"][name], lambda found: found["pid"] not in (None, dead.pid), 90)
    assert found["restarts"] == 1, team.logs()
    assert wait_until(lambda: network.answers(found["url"] + found["health"]), bool, 90), team.logs()


def test_status_tells_of_all(team: Team) -> None:
    told = team.status().splitlines()
    lines = {line[4:16].strip(): line for line in told}
    assert set(lines) >= {
        "prefect",
        "mlflow",
        "worker",
        "supervisor",
        "heartbeat",
        "running",
        "next",
        "champion",
        "disk",
    }
    assert all(line.startswith("ok ") for line in lines.values()), lines
    assert f"pid {team.pid('mlflow')}" in lines["mlflow"]
    assert "started again once" in lines["mlflow"]
    due = [line for line in told if line[4:8] == "next"]
    # The first three of these, by the time of day.
    known = "train|evaluate-champion|watch-data|watch-requests"
    assert len(due) == 3, due
    assert all(re.search(rf" ({known}) at 20\d\d-", line) for line in due), due


def test_a_training_goes_on_when_its_worker_dies(team: Team) -> None:
    team.slow_down("worker", 3)
    run = team.start("killed worker")
    stage = team.stage("left")
    worker = psutil.Process(team.pid("worker"))
    below = worker.children(recursive=True)
    worker.kill()
    assert still_alive([*below, stage], 20) == []
    end = team.completed(run)
    assert end["run_count"] == 2
    assert "restarted 1" in end["tags"]


def test_down_ends_everything_and_a_training_goes_on_after(team: Team) -> None:
    team.slow_down("down", 3)
    run = team.start("down")
    stage = team.stage("left")
    family = team.family()
    team.down()
    assert still_alive([*family, stage], 5) == []
    assert not (team.folder / ".lmforge/prefect/server.json").exists()
    team.down()  # there is nothing to end, and that is no error
    assert team.status().startswith("BAD services")
    team.up()
    end = team.completed(run)
    assert end["run_count"] == 2
    assert end["tags"] == ["lmforge"], "it was ended on purpose, which counts as no restart"


def test_nothing_outlives_the_supervisor_and_a_training_goes_on_after(team: Team) -> None:
    team.slow_down("reboot", 3)
    run = team.start("reboot")
    stage = team.stage("left")
    family = team.family()
    family[0].kill()
    # Prefect's engine reports that it ends; where its server died first, it asks that again for a minute.
    assert still_alive([*family, stage], 120) == []
    team.up()
    end = team.completed(run)
    assert end["run_count"] == 2
    assert "restarted 1" in end["tags"]
