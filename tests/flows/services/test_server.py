"""The Prefect server of a run: shared, stopped, and gone with the run."""

import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from components.core.errors import TryAgain
from flows.processes import environment
from flows.services import network, service, state
from flows.services.server import OwnServer, found_prefect, prefect_server
from flows.services.service import PREFECT_HEALTH, Service
from tests.flows.support.running import REPOSITORY, still_alive

RUN = """
import time
from flows.processes import environment
from flows.services.server import OwnServer, prefect_server
environment.prepare()
with prefect_server() as server:
    print(server.url, isinstance(server, OwnServer), flush=True)
    server.wait_until_ready()
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
        assert network.answers(url + PREFECT_HEALTH)
        assert json.loads(state.ADDRESS.read_text())["url"] == url
        assert (environment.PREFECT_HOME / "prefect.db").exists()

        with run() as second:
            assert line(second) == f"{url} False"
            second.kill()
        assert network.answers(url + PREFECT_HEALTH), "it was not the second's to stop"

        family = psutil.Process(first.pid).children(recursive=True)
        assert family
        os.kill(first.pid, signal.SIGKILL)
        alive = still_alive(family, 10)
        assert alive == []


def test_a_server_that_was_chosen_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(TryAgain, match=r"no Prefect server answers at http://127\.0\.0\.1:9/api"):
        prefect_server().__enter__()


def test_a_server_that_ends_at_once_is_told_with_its_log() -> None:
    with pytest.raises(TryAgain, match=r"\.lmforge/logs/prefect-server\.log"):
        wait_for(Service("prefect", "no_such_module", (), {}, url="http://127.0.0.1:9"))


def test_who_took_the_port_meanwhile_is_not_taken_for_the_server() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        port = other.server_port
        with pytest.raises(TryAgain, match="ended as it started"):
            wait_for(service.prefect(port))
        other.shutdown()


def test_the_server_of_the_folder_that_was_copied_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        monkeypatch.chdir(original)
        state.announce(f"http://127.0.0.1:{other.server_port}", os.getpid())
        assert found_prefect() is not None
        shutil.copytree(original, copy)
        monkeypatch.chdir(copy)
        assert found_prefect() is None
        other.shutdown()


def wait_for(service: Service) -> None:
    server = OwnServer(service)
    try:
        server.wait_until_ready()
    finally:
        server.close()
