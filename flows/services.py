"""The servers that a run needs: our own child processes, on loopback, with their state in `.lmforge`."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.stage import STATE, TryAgain, write_atomically
from flows import environment, leash, locks

HOST = "127.0.0.1"
PREFECT_PORT = 4200
MLFLOW_PORT = 5000
MLFLOW_URL = f"http://{HOST}:{MLFLOW_PORT}"
"""Where MLflow's pages are, unless another program has that port."""
PREFECT_HEALTH = "/api/health"
MLFLOW_HEALTH = "/health"
ADDRESS = environment.PREFECT_HOME / "server.json"

_START_WITHIN = 60.0  # seconds; a new database takes 9 of them on 2 cores
_STOP_WITHIN = 10.0
_SEND_WITHIN = 10.0

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Server:
    """A server that was started here, or found running."""

    def __init__(self, name: str, url: str, process: "subprocess.Popen[str] | None") -> None:
        self.name = name
        self.url = url
        self._process = process

    @property
    def is_ours(self) -> bool:
        """Whether this process started it, and so has to stop it."""
        return self._process is not None

    def wait_until_ready(self, health: str) -> None:
        """Return when the server answers at the path; raise `TryAgain` when it ends or takes too long."""
        deadline = time.monotonic() + _START_WITHIN
        while not answers(self.url + health):
            if self._process and self._process.poll() is not None:
                raise TryAgain(f"the {self.name} server ended as it started: see {_log(self.name)}")
            if time.monotonic() > deadline:
                raise TryAgain(f"the {self.name} server did not answer at {self.url}: see {_log(self.name)}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End the server and all that it started, if it was started here."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_WITHIN)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def prefect_server() -> Iterator[Server]:
    """A Prefect server to talk to, with `PREFECT_API_URL` set; it is left running when it was found running.

    It may still be starting: call `wait_until_ready(PREFECT_HEALTH)` before the first request.
    """
    environment.PREFECT_HOME.mkdir(parents=True, exist_ok=True)
    server = _found_prefect() or _start_prefect()
    os.environ["PREFECT_API_URL"] = f"{server.url}/api"
    try:
        yield server
    finally:
        if server.is_ours:
            _send_what_is_left()
            server.stop()
            ADDRESS.unlink(missing_ok=True)


@contextmanager
def mlflow_server(store: str) -> Iterator[Server]:
    """The MLflow pages over a store, such as `sqlite:////path/mlflow.db`."""
    port = free_port(MLFLOW_PORT)
    process = _start(
        "mlflow",
        *("server", "--host", HOST, "--port", str(port), "--workers", "1", "--backend-store-uri", store),
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",  # its job runner and helpers take 2 GB
    )
    server = Server("mlflow", f"http://{HOST}:{port}", process)
    try:
        yield server
    finally:
        server.stop()


def answers(url: str) -> bool:
    """Whether a server answers at the address, whatever it says."""
    try:
        with _direct.open(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def free_port(wanted: int) -> int:
    """The wanted port, or another one when that is taken, be it by a server elsewhere that is just starting."""
    claim = Path(tempfile.gettempdir()) / f"lmforge-{os.getuid()}-port-{wanted}"
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                if port == 0 or locks.keep(claim):
                    return int(probe.getsockname()[1])
    raise TryAgain(f"no port is free on {HOST}")


def _found_prefect() -> Server | None:
    """The server of `PREFECT_API_URL`, or the one that another command of this folder runs."""
    chosen = os.environ.get("PREFECT_API_URL")
    if chosen:
        url = chosen.removesuffix("/").removesuffix("/api")
        if not answers(url + PREFECT_HEALTH):
            raise TryAgain(f"no Prefect server answers at {chosen}: start it, or unset PREFECT_API_URL")
        return Server("prefect", url, None)
    with suppress(FileNotFoundError):
        url = json.loads(ADDRESS.read_text())["url"]
        if answers(url + PREFECT_HEALTH):
            return Server("prefect", url, None)
    return None


def _start_prefect() -> Server:
    port = free_port(PREFECT_PORT)
    url = f"http://{HOST}:{port}"
    process = _start(
        "prefect",
        *("server", "start", "--host", HOST, "--port", str(port)),
        PREFECT_SERVER_API_HOST=HOST,
        PREFECT_SERVER_API_PORT=str(port),
        PREFECT_SERVER_UI_API_URL=f"{url}/api",
        PREFECT_SERVER_LOGGING_LEVEL="WARNING",
    )
    write_atomically(ADDRESS, json.dumps({"url": url, "pid": process.pid}))
    return Server("prefect", url, process)


def _send_what_is_left() -> None:
    """Let Prefect send the last lines and states, which it does in the background, while the server is there."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=_SEND_WITHIN)


def _start(module: str, *arguments: str, **settings: str) -> "subprocess.Popen[str]":
    """Start a server's module; what it says goes to its log file."""
    log = _log(module)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        return leash.start(module, *arguments, env=environment.for_children(**settings), output=output)


def _log(name: str) -> Path:
    return STATE / "logs" / f"{name}-server.log"
