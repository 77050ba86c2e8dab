"""Where runs are kept: a fresh file under several processes, and a server that is away."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components import tracking
from components.core.errors import TryAgain
from components.tracking import run


def test_who_asks_a_server_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(TryAgain, match=f"no MLflow server answers at {address}"):
            tracking.find("a" * 64)


def test_processes_share_a_fresh_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock the first migration of several processes ruins the file."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    program = "from components import tracking; print(tracking.experiment(tracking.client()))"
    environment = os.environ | {"PYTHONPATH": str(run.ROOT)}

    def start(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=180
        ).stdout

    with ThreadPoolExecutor(2) as pool:
        ids = set(pool.map(start, range(2)))
    assert len(ids) == 1
    assert not (tmp_path / ".lmforge/mlflow/mlflow.part").exists()
    experiment = tracking.client().get_experiment(ids.pop().strip())
    assert experiment.artifact_location == (tmp_path / ".lmforge/mlflow/artifacts").as_uri()
    assert tracking.uri() == f"sqlite:///{tmp_path}/.lmforge/mlflow/mlflow.db"
