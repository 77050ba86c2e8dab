"""Faults in a real training, with the preset `smoke`: what has to hold of checkpoints and of the registry."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest

from flows.processes import child
from flows.services import network, service
from flows.services.service import Service
from tests.chaos.support.checks import check_all, registry_is_true
from tests.chaos.support.faults import Recovered, Start, fill, small_disk
from tests.chaos.support.running import Clock, Run
from tests.flows.support.running import wait_until
from tests.integration.support.copies import finished, fresh  # noqa: F401, fixtures
from tests.integration.support.working_copy import WorkingCopy, copy

pytestmark = pytest.mark.xdist_group("pipeline")

RUN = ("flows.cli.main", "run")


@pytest.fixture
def changed(finished: tuple[WorkingCopy, str], tmp_path: Path) -> WorkingCopy:  # noqa: F811, the fixture
    """A road that leads to another model than the champion it has: from `pretrain` on all has to run."""
    road = copy(finished[0].folder, tmp_path / "lmforge")
    road.change("params.yaml", "steps: 30", "steps: 120")
    return road


def train(road: WorkingCopy, start: Start, **settings: str) -> Run:
    """A run that has written a checkpoint and goes on."""
    run: Run = start(road.folder, *RUN, code=road.folder, **settings)
    checkpoints = road.folder / ".checkpoints"
    before = {*checkpoints.glob("*/step-*")}
    wait_until(lambda: run.process.poll() is not None or {*checkpoints.glob("*/step-*")} - before, bool, 400, 0.01)
    assert run.process.poll() is None, run.output
    return run


@contextmanager
def served(server: Service, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """MLflow's server over the store of a folder."""
    with chdir(folder):
        process = server.start()
    try:
        assert wait_until(lambda: server.is_ready, bool, 120)
        yield process
    finally:
        child.stop(process, 10)


def test_a_stage_in_training(changed: WorkingCopy, start: Start, recovered: Recovered) -> None:
    run = train(changed, start)
    run.member("components.stages.pretrain").kill()
    clock = Clock()
    assert run.wait() == 1
    assert "pretrain: it was killed" in run.output
    check_all(changed.folder)
    registry_is_true(changed.folder)

    again = start(changed.folder, *RUN, code=changed.folder)
    again.ends_well()
    recovered("kill -9 of a training", clock)
    assert re.search(r"^pretrain +.*resum", again.output, re.MULTILINE), again.output
    check_all(changed.folder)
    registry_is_true(changed.folder)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_under_the_checkpoints(changed: WorkingCopy, start: Start, recovered: Recovered) -> None:
    checkpoints = changed.folder / ".checkpoints"
    with small_disk(checkpoints, megabytes=32):
        run = train(changed, start)
        filler = fill(checkpoints)
        run.says("pretrain +pretrain: no space left on the disk")
        clock = Clock()
        filler.unlink()
        run.ends_well()
        recovered("a full disk under .checkpoints", clock)
        assert re.search(r"^pretrain +.*resum", run.output, re.MULTILINE), run.output
        check_all(changed.folder)
        registry_is_true(changed.folder)


def test_mlflows_server(changed: WorkingCopy, start: Start, recovered: Recovered) -> None:
    """Where the runs and the registry are behind a server, that dies in the midst of a training."""
    store = f"sqlite:///{changed.folder}/.lmforge/mlflow/mlflow.db"
    server = service.mlflow(store, network.free_port(0))
    with served(server, changed.folder) as process:
        run = train(changed, start, MLFLOW_TRACKING_URI=server.url)
        child.signal_group(process, signal.SIGKILL)
        clock = Clock()
        assert run.wait() == 75, run.output
        assert "pretrain" in run.completed()
        assert server.url in run.output.splitlines()[-1]
        check_all(changed.folder)
    with served(server, changed.folder):
        again = start(changed.folder, *RUN, code=changed.folder, MLFLOW_TRACKING_URI=server.url)
        again.ends_well()
        recovered("kill -9 of MLflow's server", clock)
        assert not again.started() & run.completed()
    check_all(changed.folder)
    registry_is_true(changed.folder)
