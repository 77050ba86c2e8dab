"""Runs of the real MLflow on SQLite files: found again, buffered, closed with the right word."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from components import tracking
from components.stage import TryAgain

KEY = "a" * 64


def key(request: pytest.FixtureRequest) -> str:
    """A digest of its own for each test."""
    return request.node.name.encode().hex().ljust(64, "0")[:64]


def history(run_id: str, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in tracking.client().get_metric_history(run_id, metric)]


@pytest.mark.usefixtures("mlflow_store")
def test_a_resumed_stage_goes_on_in_its_run(request: pytest.FixtureRequest) -> None:
    settings = {"steps": 4, "optimizer": {"learning_rate": 3e-4}}
    with suppress(ZeroDivisionError), tracking.start("pretrain", key(request), settings) as first:
        for step in range(3):
            first.log(step, {"loss": 3.0 - step})
        raise ZeroDivisionError
    run = tracking.client().get_run(first.id)
    assert run.info.status == "FAILED"
    assert run.data.params == {"steps": "4", "optimizer.learning_rate": "0.0003"}
    assert history(first.id, "loss") == [(0, 3.0), (1, 2.0), (2, 1.0)]

    # From its checkpoint it repeats step 2, which is there already, and goes on.
    with tracking.start("pretrain", key(request), settings) as second:
        assert second.id == first.id
        assert tracking.client().get_run(first.id).info.status == "RUNNING"
        second.log(2, {"loss": 1.0})
        second.log(3, {"loss": 0.5, "bits_per_byte": 2.0})
    assert history(first.id, "loss") == [(0, 3.0), (1, 2.0), (2, 1.0), (3, 0.5)]
    assert history(first.id, "bits_per_byte") == [(3, 2.0)]
    assert tracking.client().get_run(first.id).info.status == "FINISHED"
    assert tracking.find(key(request)) == first.id


@pytest.mark.usefixtures("mlflow_store")
def test_an_unknown_stage_has_no_run() -> None:
    assert tracking.find("f" * 64) is None


@pytest.mark.usefixtures("mlflow_store")
def test_metrics_are_sent_in_batches(request: pytest.FixtureRequest) -> None:
    with tracking.start("pretrain", key(request), {}) as run:
        for step in range(tracking.FLUSH_STEPS - 1):
            run.log(step, {"loss": 1.0})
        assert history(run.id, "loss") == []
        run.log(tracking.FLUSH_STEPS - 1, {"loss": 1.0})
        assert len(history(run.id, "loss")) == tracking.FLUSH_STEPS


def test_sigterm_closes_the_run_as_killed(mlflow_store: str) -> None:
    stage = subprocess.Popen(
        [sys.executable, "-c", STAGE],
        env=os.environ | {"MLFLOW_TRACKING_URI": mlflow_store},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert stage.stdout is not None
    assert stage.stdout.readline() == "started\n"
    stage.send_signal(signal.SIGTERM)
    assert stage.wait(60) == 128 + signal.SIGTERM
    run_id = tracking.find(KEY)
    assert run_id is not None
    assert tracking.client().get_run(run_id).info.status == "KILLED"
    assert history(run_id, "loss") == [(0, 1.5)]


STAGE = textwrap.dedent(f"""
    import time
    from components import tracking
    with tracking.start("pretrain", "{KEY}", {{}}) as run:
        run.log(0, {{"loss": 1.5}})
        print("started", flush=True)
        time.sleep(60)
    """)


def test_a_server_that_is_away_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    began = time.monotonic()
    with pytest.raises(TryAgain, match=f"no MLflow server answers at http://127.0.0.1:{port}"):
        tracking.start("pretrain", KEY, {}).__enter__()
    assert time.monotonic() - began < 5


def test_processes_share_a_fresh_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock the first migration of several processes ruins the file."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    program = "from components import tracking; print(tracking.experiment(tracking.client()))"
    environment = os.environ | {"PYTHONPATH": str(Path(tracking.__file__).parents[1])}

    def run(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=180
        ).stdout

    with ThreadPoolExecutor(2) as pool:
        ids = set(pool.map(run, range(2)))
    assert len(ids) == 1
    assert (tmp_path / ".lmforge/mlflow/mlflow.db").exists()
    experiment = tracking.client().get_experiment(ids.pop().strip())
    assert experiment.artifact_location == (tmp_path / ".lmforge/mlflow/artifacts").as_uri()
    assert tracking.uri() == f"sqlite:///{tmp_path}/.lmforge/mlflow/mlflow.db"
