"""An MLflow run for a training stage, found by the tag `stage_key`, the digest of what the stage was made from.

A resumed stage continues its run, and the run of a cached stage is found again. No out of a stage holds a run id.
docs/decisions.md, "No run id, clock or host in an out"
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from components.core.files import STATE
from components.core.nested import flat
from components.tracking.spool import Spool

ROOT = Path(__file__).parents[2]
PATIENCE = 6.0  # seconds from the end of a stage to that of its sender


class Run:
    """The open run of a stage. Logging something takes some microseconds, whatever MLflow does."""

    def __init__(self, spool: Spool | None) -> None:
        self._spool = spool

    def log(self, step: int, row: Mapping[str, float]) -> None:
        """Log the metrics of a training step, to be drawn against `tokens`, the number of tokens seen so far.

        MLflow's step of a point is this number of tokens, so that its charts have it as their axis by default.
        docs/decisions.md, "MLflow's steps are tokens"
        """
        if self._spool is not None:
            metrics = {name: float(value) for name, value in row.items() if name != "tokens"}
            self._spool.metrics(int(row["tokens"]), {**metrics, "step": step})

    def text(self, name: str, text: str) -> None:
        """Log a text, which becomes an artifact of the run, such as `samples/step-00000140.txt`."""
        if self._spool is not None:
            self._spool.text(name, text)


@contextmanager
def start(stage: str, key: str, settings: Mapping[str, object]) -> Iterator[Run]:
    """The run of a stage, open for the body and then closed with its outcome. MLflow need not be available.

    Of the processes that torchrun starts, only rank 0 logs anything.
    """
    if os.environ.get("RANK", "0") != "0":
        yield Run(None)
        return
    spool = Spool(stage, key, {name: str(value) for name, value in flat(settings).items()})
    sender = _start_sender(stage, spool.path, key)
    status = "KILLED"
    try:
        with _sigterm_raises():
            yield Run(spool)
        status = "FINISHED"
    except Exception:
        status = "FAILED"
        raise
    finally:
        spool.end(status)
        _finish(sender)
        spool.close()


def _start_sender(stage: str, path: Path, key: str) -> "subprocess.Popen[bytes]":
    log = STATE / "logs" / f"{stage}.metrics.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "components.tracking.sender", str(path), key],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.getenv("PYTHONPATH")]))},
            stdin=subprocess.PIPE,
            stderr=errors,
        )


def _finish(sender: "subprocess.Popen[bytes]") -> None:
    """Let it send the rest; what MLflow has not accepted after some seconds is sent by the next stage."""
    try:
        sender.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        sender.kill()
        sender.wait()


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Make SIGTERM raise an exception in a stage, so that its run is closed as KILLED."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 (what signal.signal asks for)
    raise SystemExit(128 + number)
