"""Servers as children of our own: reused, stopped, and gone with the run."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from components.stage import TryAgain
from flows import environment, lifecycle, services
from tests.flows.running import REPOSITORY, wait_until

RUN = """
import time
from flows import environment, lifecycle, services
environment.prepare()
with services.prefect_server() as server:
    print(server.url, server.is_ours, flush=True)
    server.wait_until_ready(services.PREFECT_HEALTH)
    print("ready", flush=True)
    time.sleep(120)
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


def run() -> "subprocess.Popen[str]":
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen([sys.executable, "-c", RUN], env=env, stdout=subprocess.PIPE, text=True)


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_server_is_shared_and_dies_with_the_run_that_started_it() -> None:
    with run() as first:
        url, ours = line(first).split()
        assert ours == "True"
        assert line(first) == "ready"
        assert services.answers(url + services.PREFECT_HEALTH)
        assert json.loads(services.ADDRESS.read_text())["url"] == url
        assert (environment.PREFECT_HOME / "prefect.db").exists()

        with run() as second:
            assert line(second) == f"{url} False"
            second.kill()
        assert services.answers(url + services.PREFECT_HEALTH), "it was not the second's to stop"

        family = psutil.Process(first.pid).children(recursive=True)
        assert family
        os.kill(first.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs(family, timeout=10)
        assert alive == []


def test_a_server_that_was_chosen_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(TryAgain, match=r"no Prefect server answers at http://127\.0\.0\.1:9/api"):
        services.prefect_server().__enter__()


def test_a_server_that_ends_at_once_is_told_with_its_log() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], text=True)
    server = services.Server("prefect", "http://127.0.0.1:9", process)
    with pytest.raises(TryAgain, match=r"\.lmforge/logs/prefect-server\.log"):
        server.wait_until_ready("/api/health")


def test_a_taken_port_is_not_taken_again() -> None:
    with socket.socket() as other:
        other.bind((services.HOST, 0))
        other.listen()
        taken = other.getsockname()[1]
        assert services.free_port(taken) not in (taken, 0)
    assert services.free_port(taken) == taken


def test_a_child_on_the_leash_leaves_no_grandchild() -> None:
    """The server is killed with its parent even when it has children of its own."""
    code = (
        "import subprocess, sys, time\n"
        "from flows import leash, environment\n"
        "leash.start('tests.flows.forks', env=environment.for_children(), output=subprocess.DEVNULL)\n"
        "time.sleep(120)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", code], env=env) as parent:
        watched = psutil.Process(parent.pid)
        family = wait_until(lambda: watched.children(recursive=True), lambda found: len(found) == 2)
        assert len(family) == 2
        time.sleep(0.5)  # the child is on the leash before it starts the grandchild, but the kernel may be slow
        parent.kill()
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []


def test_what_others_reach_is_told_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    assert lifecycle.warning("127.0.0.1") == ""
    assert "There is no authentication" in lifecycle.warning("0.0.0.0")
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "me:secret")
    assert "Prefect asks for the password" in lifecycle.warning("0.0.0.0")


def test_the_pages_have_an_address_that_others_reach() -> None:
    everywhere = services.prefect(4200, "0.0.0.0")
    assert everywhere.url == "http://127.0.0.1:4200"
    assert "0.0.0.0" not in everywhere.page
    assert everywhere.settings["PREFECT_SERVER_UI_API_URL"] == f"{everywhere.page}/api"
    here = services.prefect(4200, "10.0.0.5")
    assert here.url == here.page == "http://10.0.0.5:4200"
