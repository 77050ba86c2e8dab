"""`lmforge up` and `lmforge down`: start the services of one machine in the background, and stop them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from components.core.errors import StageError, TryAgain
from components.core.files import STATE
from flows.services import state, supervisor

LOG = STATE / "logs" / "supervisor.log"

_UP_WITHIN = 330.0  # seconds; a new database, on a busy machine
_DOWN_WITHIN = 90.0


def up(options: supervisor.ListenOptions) -> dict[str, Any]:
    """Start the services unless they are running; returns their state once all of them are ready.

    Raises `StageError` with the last line of the supervisor's log when the supervisor ends instead.
    """
    process: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + _UP_WITHIN
    while not (found := state.read()).get("ready"):
        if not state.is_up():
            if process and process.poll() is not None:
                error = StageError(_last_line().removeprefix("lmforge: "))
                error.code = process.returncode
                raise error
            process = process or _start(options)
        if time.monotonic() > deadline:
            raise TryAgain(f"the services were not ready within {_UP_WITHIN:.0f} s: see {LOG}")
        time.sleep(0.1)
    return found


def down() -> None:
    """Stop the services, and the runs that their worker has started."""
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        os.kill(int(state.LOCK.read_text()), signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_WITHIN
    while state.is_up():
        if time.monotonic() > deadline:
            raise TryAgain(f"the services did not end within {_DOWN_WITHIN:.0f} s: see {LOG}")
        time.sleep(0.1)


def warning(host: str) -> str:
    """The security warning to show when other machines can reach the services; empty when they cannot."""
    if host == "localhost" or host.startswith("127.") or host == "::1":
        return ""
    if "PREFECT_SERVER_API_AUTH_STRING" in os.environ:
        return f"Prefect asks for the password. MLflow asks for none: whoever reaches {host} can change the registry."
    return (
        f"There is no authentication: whoever reaches {host} can start runs and change the registry. "
        "PREFECT_SERVER_API_AUTH_STRING=user:password sets one for Prefect; for MLflow use a firewall or a proxy."
    )


def _start(options: supervisor.ListenOptions) -> "subprocess.Popen[bytes]":
    """Start the supervisor in a session of its own, so that it outlives this process."""
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.services.supervisor", *options.arguments()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _last_line() -> str:
    return (LOG.read_text().strip().splitlines() or [f"the supervisor ended: see {LOG}"])[-1]
