"""Runs of the real MLflow: found again, each point once, closed with the right word, whatever MLflow does meanwhile."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from components import tracking
from components.tracking import run as runs
from components.tracking import spool


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A digest of its own for each test."""
    return request.node.name.encode().hex()[-64:].rjust(64, "0")


def row(step: int, **figures: float) -> dict[str, float]:
    return {"tokens": 1000.0 * step, **figures}


def history(key: str, metric: str) -> list[tuple[int, float]]:
    run_id = tracking.find(key)
    assert run_id is not None
    return [(point.step, point.value) for point in tracking.client().get_metric_history(run_id, metric)]


def status(key: str) -> str:
    run_id = tracking.find(key)
    return str(tracking.client().get_run(run_id).info.status)


def train(key: str, steps: int = 3) -> None:
    """A stage that notes some figures."""
    with tracking.start("pretrain", key, {}) as run:
        for step in range(1, steps + 1):
            run.log(step, row(step, loss=5.0 - step))


THREE = [(1000, 4.0), (2000, 3.0), (3000, 2.0)]


@pytest.mark.usefixtures("mlflow_store")
def test_a_resumed_stage_goes_on_in_its_run(key: str) -> None:
    settings = {"steps": 4, "optimizer": {"learning_rate": 3e-4}}
    with suppress(ZeroDivisionError), tracking.start("pretrain", key, settings) as run:
        for step in (1, 2, 3):
            run.log(step, row(step, loss=5.0 - step))
            run.log(step, row(step, tokens_per_second=100.0))
        raise ZeroDivisionError
    assert status(key) == "FAILED"
    first = tracking.client().get_run(tracking.find(key))
    assert first.data.params == {"steps": "4", "optimizer.learning_rate": "0.0003"}

    # From its checkpoint it repeats step 3, which is there already, and goes on.
    with tracking.start("pretrain", key, settings) as run:
        run.log(3, row(3, loss=2.0))
        run.log(4, row(4, loss=1.0, bits_per_byte=2.0))
    assert status(key) == "FINISHED"
    assert tracking.find(key) == first.info.run_id
    assert history(key, "loss") == [*THREE, (4000, 1.0)]
    assert history(key, "bits_per_byte") == [(4000, 2.0)]
    assert history(key, "step") == [(1000, 1), (2000, 2), (3000, 3), (4000, 4)]


@pytest.mark.usefixtures("mlflow_store")
def test_what_its_sender_had_no_time_for_is_sent_while_the_stage_s_process_lives_on(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "PATIENCE", 0.0)
    with tracking.start("pretrain", key, {}) as run:
        run.log(1, row(1, loss=4.0))
    assert status(key) == "FINISHED"
    assert spool.waiting() == []
    del run  # up to here it held the file of the stage, as the traceback of a stage that failed does


@pytest.mark.usefixtures("mlflow_store")
def test_texts_are_artifacts(key: str) -> None:
    with tracking.start("pretrain", key, {}) as run:
        run.text("samples/000001000.txt", "Once upon a time → 从前\n")
    client = tracking.client()
    path = client.download_artifacts(tracking.find(key), "samples/000001000.txt")
    assert Path(path).read_text(encoding="utf-8") == "Once upon a time → 从前\n"


@pytest.mark.usefixtures("mlflow_store")
def test_the_page_of_system_metrics_has_some(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "PATIENCE", 60.0)
    train(key)
    assert history(key, "system/cpu_utilization_percentage")
    assert history(key, "system/system_memory_usage_percentage")


def test_other_processes_of_a_training_are_silent(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    train(key)
    assert spool.waiting() == []


@pytest.mark.usefixtures("mlflow_store")
def test_an_unknown_stage_has_no_run() -> None:
    assert tracking.find("f" * 64) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stage_that_is_told_to_stop_or_killed_leaves_a_killed_run(
    mlflow_store: str, key: str, number: signal.Signals
) -> None:
    program = textwrap.dedent(f"""
        import time
        from components import tracking
        with tracking.start("pretrain", "{key}", {{}}) as run:
            run.log(1, {{"tokens": 1000.0, "loss": 1.5}})
            print("started", flush=True)
            time.sleep(60)
        """)
    environment = os.environ | {"MLFLOW_TRACKING_URI": mlflow_store, "PYTHONPATH": str(runs.ROOT)}
    stage = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
    assert stage.stdout is not None
    assert stage.stdout.readline() == "started\n"
    stage.send_signal(number)
    assert stage.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
    stage.stdout.read()  # until its sender has ended, too
    assert history(key, "loss") == [(1000, 1.5)]
    assert status(key) == "KILLED"


@pytest.fixture
def away() -> Iterator[str]:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def unwritable(tmp_path: Path) -> str:
    """A store where no file can be."""
    (tmp_path / "mlflow.db").mkdir()
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("trouble", ["away", "silent", "unwritable"])
def test_a_training_does_not_need_mlflow_and_tells_it_later(
    trouble: str, key: str, mlflow_store: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "PATIENCE", 3.0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue(trouble))
    train(key)
    (kept,) = spool.waiting()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    assert history(key, "loss") == THREE
    assert status(key) == "FINISHED"
    assert not kept.exists()


def test_a_locked_database_is_tried_again(key: str, mlflow_store: str) -> None:
    with closing(sqlite3.connect(mlflow_store.removeprefix("sqlite:///"))) as connection:
        connection.execute("begin exclusive")
        train(key)
        assert len(spool.waiting()) == 1
    assert history(key, "loss") == THREE
    assert spool.waiting() == []


@pytest.mark.usefixtures("mlflow_store")
def test_the_next_stage_sends_what_another_left(
    key: str, away: str, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", away)
    train(key)
    train(key, 4)
    assert len(spool.waiting()) == 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    with tracking.start("finetune@assistant", key[::-1], {}):
        deadline = time.monotonic() + 180
        while len(spool.waiting()) > 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(spool.waiting()) == 1, "only its own is left"
    assert history(key, "loss") == [*THREE, (4000, 1.0)]
