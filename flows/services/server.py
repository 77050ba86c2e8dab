"""The Prefect server that a run uses: one that is already running, or a child process of the run, on loopback.

docs/decisions.md, "A resident Prefect server"
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from components.core.errors import TryAgain
from components.core.files import STATE
from flows.processes import child
from flows.services import network, service, state
from flows.services.service import PREFECT_HEALTH, Service

LOG = STATE / "logs/prefect-server.log"

PAUSES = (0.0, 1.0, 5.0, 20.0)  # seconds before each restart; one that dies again after that stays dead

_START_WITHIN = 180.0  # seconds; a new database takes 9 of them on 2 idle cores
_STOP_WITHIN = 10.0
_SEND_WITHIN = 10.0


class _Revived:
    """A child process that is restarted until `end`. `start` starts it, and gets the mode in which to open its log."""

    def __init__(self, start: Callable[[str], "subprocess.Popen[str]"]) -> None:
        self.process = start("w")
        self._start = start
        self._ending = threading.Event()
        self._starting = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def end(self) -> "subprocess.Popen[str]":
        """Stop restarting it; returns the process, for the caller to stop."""
        with self._starting:
            self._ending.set()
        return self.process

    def _watch(self) -> None:
        for pause in PAUSES:
            self.process.wait()
            self._ending.wait(pause)
            with self._starting:
                if self._ending.is_set():
                    return
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)  # children of the dead process
                self.process = self._start("a")
        self._ending.wait()  # the last process dies with this thread


class Server:
    """A server that was already running, and that is not ours to stop."""

    def __init__(self, url: str) -> None:
        self.url = url

    def wait_until_ready(self) -> None:
        """Return when the server answers; raise `TryAgain` when it ends or takes too long."""
        deadline = time.monotonic() + _START_WITHIN
        while not self._is_ready():
            if time.monotonic() > deadline:
                raise TryAgain(f"the Prefect server did not answer at {self.url}: see {LOG}")
            time.sleep(0.1)

    def close(self) -> None:
        """Leave it running."""

    def _is_ready(self) -> bool:
        return network.answers(self.url + PREFECT_HEALTH)


class OwnServer(Server):
    """A child of this process; when it dies it is restarted at the same address, and its clients retry for a minute."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.url)
        self._service = service
        self._revived = _Revived(service.start)
        self._first = self._revived.process
        state.announce(self.url, os.getpid())

    def close(self) -> None:
        """End it and all that it started, after sending it the last logs and states of the run."""
        _send_what_is_left()
        child.stop(self._revived.end(), _STOP_WITHIN)
        state.ADDRESS.unlink(missing_ok=True)

    def _is_ready(self) -> bool:
        """Whether it accepts work, and no other process took the port while it started."""
        if self._first.poll() is not None:
            raise TryAgain(
                f"the Prefect server ended as it started at {self.url}, perhaps as another program took the port: "
                f"run again, or see {LOG}"
            )
        return network.listens(self._first.pid, self.url) and self._service.is_ready


@contextmanager
def prefect_server() -> Iterator[Server]:
    """Provide a Prefect server, with `PREFECT_API_URL` set; one that was already running is left running.

    It may still be starting: call `wait_until_ready` before the first request.
    """
    server = found_prefect() or OwnServer(service.prefect(network.free_port(service.PREFECT_PORT)))
    os.environ["PREFECT_API_URL"] = f"{server.url}/api"
    try:
        yield server
    except Exception as error:
        if _is_lost(error):
            raise TryAgain(f"the Prefect server is gone or fails: see {LOG}, then run again") from error
        raise
    finally:
        server.close()


def found_prefect() -> Server | None:
    """The server of `PREFECT_API_URL`, or the one that another command of this folder runs."""
    chosen = os.environ.get("PREFECT_API_URL")
    if chosen:
        url = chosen.removesuffix("/").removesuffix("/api")
        if not network.answers(url + PREFECT_HEALTH):
            raise TryAgain(f"no Prefect server answers at {chosen}: start it, or unset PREFECT_API_URL")
        return Server(url)
    found = state.announced()
    if found and (network.answers(found + PREFECT_HEALTH) or state.is_up()):  # which restarts it if it died
        return Server(found)
    return None


def _is_lost(error: Exception) -> bool:
    """Whether the server caused an error: it did not answer within a minute of retries, or with a server error."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, httpx.TransportError)


def _send_what_is_left() -> None:
    """Let Prefect send the last log lines and states, which it does in the background, before the server ends."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=_SEND_WITHIN)
