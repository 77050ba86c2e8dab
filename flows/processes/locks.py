"""Locks between processes: file locks that the system releases when their holder dies, however it dies.

Locks of a folder are in its `.lmforge/locks`. Locks of cores and GPUs are in the temporary folder of the machine, since
every folder and worktree of this user shares them.

docs/decisions.md, "The turn is a lock of the machine, not a place in a queue"
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from components.core import process
from components.core.errors import TryAgain
from components.core.files import STATE

LOCKS = STATE / "locks"

_POLL = 0.2  # seconds

_kept: list[IO[str]] = []


@contextmanager
def hold(name: str, refusal: str) -> Iterator[None]:
    """Hold a lock of this folder, or raise `TryAgain(refusal)` when another process has it."""
    with _file(LOCKS / name) as descriptor:
        if not _take(descriptor):
            raise TryAgain(refusal)
        yield


@contextmanager
def hold_accelerators(check: Callable[[], None]) -> Iterator[int]:
    """Wait until all GPUs that this process may use are free, or without GPUs its cores, and hold them.

    Yields the number of accelerators: each GPU is one, and all cores together are one. `check` is called while
    waiting, and may raise to give up. All processes lock in the same order, so that two runs cannot deadlock.
    """
    gpus = _gpus()
    with ExitStack() as stack:
        for name in gpus or _cores():
            stack.enter_context(_wait_for(accelerator_lock(name), check))
        yield len(gpus) or 1


def accelerators() -> list[str]:
    """The GPUs that this process may use, by UUID, or without GPUs its cores: `cpu0`, `cpu1`, ..."""
    return _gpus() or _cores()


def _cores() -> list[str]:
    return [f"cpu{core}" for core in process.cores()]


def _gpus() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    query = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True)
    if answer.returncode != 0:  # a driver without a card
        return []
    uuids = dict(line.split(", ") for line in answer.stdout.splitlines())
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = list(uuids) if chosen is None else [name for name in chosen.split(",") if name not in ("", "-1")]
    return sorted({uuids.get(name, name) for name in visible})


def accelerator_lock(name: str) -> Path:
    """The lock file of a GPU, or of a core."""
    return Path(tempfile.gettempdir()) / f"lmforge-{os.getuid()}-accelerator-{name}"


def keep(path: Path) -> bool:
    """Take the lock of a file for as long as this process lives; returns False when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    if not _take(file.fileno()):
        file.close()
        return False
    _kept.append(file)
    return True


def is_held(path: Path) -> bool:
    """Whether some process has the lock of the file now."""
    with _file(path) as descriptor:
        return not _take(descriptor)


@contextmanager
def _wait_for(path: Path, check: Callable[[], None]) -> Iterator[None]:
    with _file(path) as descriptor:
        while not _take(descriptor):
            check()
            time.sleep(_POLL)
        yield


@contextmanager
def _file(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        yield file.fileno()


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
