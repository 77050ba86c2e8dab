"""What the services of a folder tell of themselves: whether they are up, and where each of them is."""

import fcntl
import json
from contextlib import suppress
from typing import Any

from components.core.files import STATE, write_atomically
from flows.processes import environment

SERVICES = STATE / "services"
LOCK = SERVICES / "lock"
"""Held by `lmforge up` as long as it is at work; it has its process id in it."""
UP = SERVICES / "state.json"
"""What is where; a `lmforge up` that was killed leaves it."""
ADDRESS = environment.PREFECT_HOME / "server.json"
"""Of the Prefect server of this folder, be it of `lmforge up` or of a run."""


def is_up() -> bool:
    """Whether a `lmforge up` of this folder is at work; its lock goes with it."""
    with suppress(FileNotFoundError), LOCK.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read() -> dict[str, Any]:
    """What the supervisor tells of itself and of its services; empty when there is none, or it just began."""
    if is_up():
        with suppress(FileNotFoundError, ValueError):
            found: dict[str, Any] = json.loads(UP.read_text())
            if found["pid"] == int(LOCK.read_text()):  # or else a supervisor left it that was killed
                return found
    return {}


def announce(url: str, pid: int) -> None:
    """Tell other commands of this folder where its Prefect server is."""
    write_atomically(ADDRESS, json.dumps({"url": url, "pid": pid, "folder": str(ADDRESS.parent.resolve())}))


def announced() -> str | None:
    """Where the Prefect server of this folder is, or was; that of the folder from which this one was copied is not."""
    with suppress(FileNotFoundError):
        found = json.loads(ADDRESS.read_text())
        return str(found["url"]) if found.get("folder") == str(ADDRESS.parent.resolve()) else None
    return None
