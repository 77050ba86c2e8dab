"""kill -9 of what is at work."""

import json
import os
from pathlib import Path

import pytest

from flows.cli import doctor
from tests.chaos.support.checks import check_all, is_fresh
from tests.chaos.support.faults import ALL, Recovered, Start, work
from tests.chaos.support.running import GRAPH, Clock, Run

pytestmark = pytest.mark.xdist_group("chaos")


def test_a_stage(folder: Path, at_work: Run, start: Start, recovered: Recovered) -> None:
    at_work.member("toy.py", "left", "out/left.txt").kill()
    clock = Clock()
    assert at_work.wait() == 1, at_work.output
    assert "left: it was killed" in at_work.output
    check_all(folder)
    is_fresh(folder, at_work.completed())
    _goes_on(folder, at_work, start, recovered, "kill -9 of a stage", clock)


@pytest.mark.short
def test_the_flow(folder: Path, at_work: Run, start: Start, recovered: Recovered) -> None:
    at_work.kill()
    clock = Clock()
    check_all(folder)
    is_fresh(folder, at_work.completed())
    _goes_on(folder, at_work, start, recovered, "kill -9 of the flow", clock)


def test_prefects_server(folder: Path, start: Start, recovered: Recovered) -> None:
    run = start(work(folder, 20), *GRAPH)
    run.says("finetune@assistant +done")
    run.server("prefect").kill()
    clock = Clock()
    run.server("prefect")
    run.ends_well()
    recovered("kill -9 of Prefect's server", clock)
    assert run.completed() == ALL
    check_all(folder)
    is_fresh(folder, ALL)

    again = start(folder, *GRAPH)
    again.ends_well()
    assert again.started() == set()


def test_a_server_that_cannot_be_started_again(folder: Path, start: Start, recovered: Recovered) -> None:
    run = start(work(folder, 20), *GRAPH)
    run.says("finetune@assistant +done")
    database = folder / ".lmforge/prefect/prefect.db"
    run.server("prefect").kill()
    clock = Clock()
    for file in database.parent.glob("prefect.db*"):
        file.unlink()
    database.mkdir()
    assert run.wait() == 75, run.output
    assert "lmforge: the Prefect server is gone or fails: see .lmforge/logs/prefect-server.log" in run.output
    check_all(folder)
    is_fresh(folder, run.completed())

    database.rmdir()
    again = start(folder, *GRAPH)
    again.ends_well()
    recovered("loss of Prefect's database", clock)
    assert again.started() == ALL - run.completed()
    check_all(folder)
    is_fresh(folder, ALL)


def test_a_lock_of_a_killed_process_whose_number_another_one_has(
    folder: Path, at_work: Run, start: Start, recovered: Recovered
) -> None:
    """As after a reboot."""
    lock = folder / doctor.RWLOCK
    held = json.loads(lock.read_text())
    at_work.kill()
    clock = Clock()
    assert held["write"]
    for holder in held["write"].values():
        holder["pid"] = os.getpid()
    lock.write_text(json.dumps(held))

    again = start(work(folder, 0), *GRAPH)
    again.ends_well()
    recovered("a lock of DVC left behind", clock)
    check_all(folder)
    is_fresh(folder, ALL)


def _goes_on(folder: Path, broken: Run, start: Start, recovered: Recovered, fault: str, clock: Clock) -> None:
    """The next run takes what the broken one completed, and does the rest."""
    again = start(work(folder, 0), *GRAPH)
    again.ends_well()
    recovered(fault, clock)
    assert again.started() == ALL - broken.completed()
    check_all(folder)
    is_fresh(folder, ALL)
