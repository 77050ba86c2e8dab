"""A real MLflow server that goes and comes back: nothing is lost, and nothing is there twice."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from components import tracking
from components.tracking.sender import Sender
from components.tracking.spool import Spool

KEY = "e" * 64


@contextmanager
def server(port: int, store: str) -> Iterator[None]:
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", store]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *options],
        env=os.environ
        | {
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _answers(port):
            assert process.poll() is None, "the server ended as it started"
            time.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok
    except requests.RequestException:
        return False


def test_a_server_that_goes_and_comes_back(
    mlflow_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    spool = Spool("pretrain", KEY, {"steps": "3"})
    sender = Sender(spool.path, KEY)
    with server(port, mlflow_store):
        spool.metrics(1, {"loss": 3.0})
        sender.send()
        assert sender.answers
    spool.metrics(2, {"loss": 2.0})
    sender.send()
    sender.send()
    assert not sender.answers
    with server(port, mlflow_store):
        spool.metrics(3, {"loss": float("nan")})
        spool.end("FINISHED")
        sender.send()
        sender.close()
        run_id = tracking.find(KEY)
        points = tracking.client().get_metric_history(run_id, "loss")
        assert [(point.step, str(point.value)) for point in points] == [(1, "3.0"), (2, "2.0"), (3, "nan")]
        assert tracking.client().get_run(run_id).info.status == "FINISHED"
    assert not spool.path.exists()
    assert capsys.readouterr().out.splitlines() == [
        "MLflow takes no metrics: they wait on disk",
        "MLflow takes metrics again",
    ]
