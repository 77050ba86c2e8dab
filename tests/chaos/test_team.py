"""kill -9 of what `lmforge up` started, in the midst of a run of a deployment."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.support.checks import check_all, is_fresh, record_is_true
from tests.chaos.support.faults import ALL, Recovered
from tests.chaos.support.running import Clock
from tests.flows.support.team import Team, at_work

pytestmark = pytest.mark.xdist_group("chaos")


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with at_work(tmp_path) as team:
        yield team


@pytest.mark.parametrize("name", ["worker", "prefect", "mlflow", "supervisor"])
def test_a_service(team: Team, name: str, recovered: Recovered) -> None:
    team.slow_down("two", 20)
    run = team.start(f"{name} dies")
    team.stage("left")
    pid = int(team.state()["pid"]) if name == "supervisor" else team.pid(name)
    os.kill(pid, signal.SIGKILL)
    clock = Clock()
    if name == "supervisor":
        team.up()
    team.completed(run)
    recovered(f"kill -9 of the {name} of `lmforge up`", clock)
    is_fresh(team.folder, ALL)
    record_is_true(team.folder)
    assert team.pid(name if name != "supervisor" else "prefect")
    team.down()
    check_all(team.folder)
