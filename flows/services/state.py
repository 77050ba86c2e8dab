"""The recorded state of the services of a folder: whether they are up, and where each of them is."""

import fcntl
import json
from contextlib import suppress
from typing import Any

from components.core.files import STATE, write_atomically
from flows.processes import environment

SERVICES = STATE / "services"
LOCK = SERVICES / "lock"
"""Held by `lmforge up` while it runs; it contains its process id."""
UP = SERVICES / "state.json"
"""Addresses and processes of the services; stays behind when `lmforge up` is killed."""
ADDRESS = environment.PREFECT_HOME / "server.json"
"""The address of this folder's Prefect server, whether `lmforge up` or a run started it."""


def is_up() -> bool:
    """Whether a `lmforge up` of this folder is running; its lock is released when it ends."""
    with suppress(FileNotFoundError), LOCK.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def read() -> dict[str, Any]:
    """The state that the supervisor recorded of itself and its services; empty if there is none, or it just began."""
    if is_up():
        with suppress(FileNotFoundError, ValueError):
            found: dict[str, Any] = json.loads(UP.read_text())
            if found["pid"] == int(LOCK.read_text()):  # otherwise a killed supervisor left it
                return found
    return {}


def announce(url: str, pid: int) -> None:
    """Record for other commands where this folder's Prefect server is."""
    write_atomically(ADDRESS, json.dumps({"url": url, "pid": pid, "folder": str(ADDRESS.parent.resolve())}))


def announced() -> str | None:
    """Where this folder's Prefect server is or was; a record copied along from another folder does not count."""
    with suppress(FileNotFoundError):
        found = json.loads(ADDRESS.read_text())
        return str(found["url"]) if found.get("folder") == str(ADDRESS.parent.resolve()) else None
    return None
