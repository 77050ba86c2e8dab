"""Locks between processes: a file each in `.lmforge/locks`, which the system lets go when the holder dies."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from components.stage import STATE, TryAgain

LOCKS = STATE / "locks"

_POLL = 0.2  # seconds

_kept: list[IO[str]] = []


@contextmanager
def hold(name: str, refusal: str) -> Iterator[None]:
    """Hold the lock, or raise `TryAgain(refusal)` when another has it."""
    with _file(name) as descriptor:
        if not _take(descriptor):
            raise TryAgain(refusal)
        yield


@contextmanager
def wait_for(name: str, check: Callable[[], None]) -> Iterator[None]:
    """Hold the lock as soon as it is free; `check` is called while waiting, and may raise to give up."""
    with _file(name) as descriptor:
        while not _take(descriptor):
            check()
            time.sleep(_POLL)
        yield


def keep(path: Path) -> bool:
    """Take the lock of a file for as long as this process lives; False when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    if not _take(file.fileno()):
        file.close()
        return False
    _kept.append(file)
    return True


def is_held(name: str) -> bool:
    """Whether some process has the lock now."""
    with _file(name) as descriptor:
        return not _take(descriptor)


@contextmanager
def _file(name: str) -> Iterator[int]:
    path = LOCKS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        yield file.fileno()


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
