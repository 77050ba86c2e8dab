"""The servers that a run needs: our own child processes, on loopback, with their state in `.lmforge`."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from components.stage import STATE, TryAgain, write_atomically
from flows import environment, leash, locks
from flows.revival import Revived

HOST = "127.0.0.1"
PREFECT_PORT = 4200
MLFLOW_PORT = 5000
PAGES_PORT = 4280
PREFECT_HEALTH = "/api/health"
MLFLOW_HEALTH = "/health"
ADDRESS = environment.PREFECT_HOME / "server.json"
RUNS = STATE / "runs"
"""The reports and Data Docs of the runs that had a worktree, a folder each; and of those by hand, by a link."""
BY_HAND = "by-hand"
SERVICES = STATE / "services"
"""What `lmforge up` keeps of itself."""
LOCK = SERVICES / "lock"
UP = SERVICES / "state.json"
POOL = "lmforge"
"""The work pool of the deployments."""

_START_WITHIN = 60.0  # seconds; a new database takes 9 of them on 2 cores
_STOP_WITHIN = 10.0
_SEND_WITHIN = 10.0
_WILDCARDS = ("0.0.0.0", "::")

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Service:
    """How a service is started, and where it is then: for programs of this machine, and for people."""

    name: str
    module: str
    arguments: tuple[str, ...]
    settings: Mapping[str, str]
    url: str = ""  # empty: it listens to nobody
    page: str = ""
    health: str = ""

    @property
    def log(self) -> Path:
        """The file with all that it says."""
        return STATE / "logs" / f"{self.name}-server.log"

    @property
    def is_ready(self) -> bool:
        """Whether it answers; one without an address is ready as soon as it runs."""
        return not self.url or answers(self.url + self.health)

    def start(self, mode: str = "w") -> "subprocess.Popen[str]":
        """Start it on the leash of the calling thread; `mode` is that in which its log is opened."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open(mode) as output:
            env = environment.for_children(**self.settings)
            return leash.start(self.module, *self.arguments, env=env, output=output)


def prefect(port: int, host: str = HOST) -> Service:
    """Prefect's server with its pages."""
    page = f"http://{reached_at(host)}:{port}"
    return Service(
        "prefect",
        "prefect",
        ("server", "start", "--host", host, "--port", str(port)),
        {
            "PREFECT_SERVER_API_HOST": host,
            "PREFECT_SERVER_API_PORT": str(port),
            "PREFECT_SERVER_UI_API_URL": f"{page}/api",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            # In memory, as they are by default, a restart of the server would end every run that holds one.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        },
        url=_local(port, host),
        page=page,
        health=PREFECT_HEALTH,
    )


def mlflow(store: str, port: int, host: str = HOST) -> Service:
    """MLflow's pages over a store, such as `sqlite:////path/mlflow.db`."""
    return Service(
        "mlflow",
        "mlflow",
        ("server", "--host", host, "--port", str(port), "--workers", "1", "--backend-store-uri", store),
        {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # its job runner and helpers take 2 GB
        url=_local(port, host),
        page=f"http://{reached_at(host)}:{port}",
        health=MLFLOW_HEALTH,
    )


def pages(port: int, host: str = HOST) -> Service:
    """Reports and Data Docs, so that Prefect's pages can lead to them: no browser follows a link to a file."""
    for folder in (Path("reports"), STATE / "data-docs"):
        link = RUNS / BY_HAND / folder
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(folder.absolute())
    return Service(
        "pages",
        "http.server",
        ("--bind", host, "--directory", str(RUNS), str(port)),
        {},
        url=_local(port, host),
        page=f"http://{reached_at(host)}:{port}",
    )


def worker(api: str) -> Service:
    """The process that starts the runs of deployments, each as a process of its own."""
    arguments = ("worker", "start", "--pool", POOL, "--type", "process", "--name", worker_name())
    return Service(
        "worker",
        "prefect",
        (*arguments, "--install-policy", "never"),
        {
            "PREFECT_API_URL": api,
            "PREFECT_WORKER_QUERY_SECONDS": "5",
        },
    )


def worker_name() -> str:
    """One for each machine, so that it can be told whose run it was."""
    return socket.gethostname()


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
        log = STATE / "logs" / f"{self.name}-server.log"
        while not answers(self.url + health):
            if self._process and self._process.poll() is not None:
                raise TryAgain(f"the {self.name} server ended as it started: see {log}")
            if time.monotonic() > deadline:
                raise TryAgain(f"the {self.name} server did not answer at {self.url}: see {log}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End the server and all that it started, if it was started here."""
        if self._process is not None:
            stop(self._process)


class OwnServer(Server):
    """A server of this process; it comes back at its address when it dies, and what talks to it tries for a minute."""

    def __init__(self, service: Service) -> None:
        self._revived = Revived(service.start)
        super().__init__(service.name, service.url, self._revived.process)

    def stop(self) -> None:
        """End it for good."""
        stop(self._revived.end())


@contextmanager
def prefect_server() -> Iterator[Server]:
    """A Prefect server to talk to, with `PREFECT_API_URL` set; it is left running when it was found running.

    It may still be starting: call `wait_until_ready(PREFECT_HEALTH)` before the first request.
    """
    server = found_prefect() or _start_prefect()
    os.environ["PREFECT_API_URL"] = f"{server.url}/api"
    try:
        yield server
    except Exception as error:
        if _is_lost(error):
            log = STATE / "logs/prefect-server.log"
            raise TryAgain(f"the Prefect server is gone or fails: see {log}, then run again") from error
        raise
    finally:
        if server.is_ours:
            _send_what_is_left()
            server.stop()
            ADDRESS.unlink(missing_ok=True)


def found_prefect() -> Server | None:
    """The server of `PREFECT_API_URL`, or the one that another command of this folder runs."""
    chosen = os.environ.get("PREFECT_API_URL")
    if chosen:
        url = chosen.removesuffix("/").removesuffix("/api")
        if not answers(url + PREFECT_HEALTH):
            raise TryAgain(f"no Prefect server answers at {chosen}: start it, or unset PREFECT_API_URL")
        return Server("prefect", url, None)
    with suppress(FileNotFoundError):
        url = json.loads(ADDRESS.read_text())["url"]
        if answers(url + PREFECT_HEALTH) or is_up():  # and starts it again when it died
            return Server("prefect", url, None)
    return None


def announce(url: str, pid: int) -> None:
    """Tell other commands of this folder where its Prefect server is."""
    write_atomically(ADDRESS, json.dumps({"url": url, "pid": pid}))


def stop(process: "subprocess.Popen[str]", within: float = _STOP_WITHIN) -> None:
    """End a process and all that it started: asked first, killed after that many seconds."""
    signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(within)
    signal_group(process, signal.SIGKILL)
    process.wait()


def signal_group(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """Send a signal to a process and to all that it started and that is left of it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def answers(url: str) -> bool:
    """Whether a server answers at the address, whatever it says."""
    try:
        with _direct.open(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def free_port(wanted: int, host: str = HOST) -> int:
    """The wanted port, or another one when that is taken, be it by a server elsewhere that is just starting."""
    claim = Path(tempfile.gettempdir()) / f"lmforge-{os.getuid()}-port-{wanted}"
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((host, port))
                if port == 0 or locks.keep(claim):
                    return int(probe.getsockname()[1])
    raise TryAgain(f"no port is free on {host}")


def is_up() -> bool:
    """Whether a `lmforge up` of this folder is at work; its lock goes with it."""
    with suppress(FileNotFoundError), LOCK.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def reached_at(host: str) -> str:
    """The address by which others reach what listens at a host, which may be all addresses of the machine."""
    if host not in _WILDCARDS:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # an address of nobody (RFC 5737); nothing is sent
        return str(probe.getsockname()[0])
    return HOST


def _local(port: int, host: str) -> str:
    return f"http://{HOST if host in _WILDCARDS else host}:{port}"


def _start_prefect() -> Server:
    server = OwnServer(prefect(free_port(PREFECT_PORT)))
    announce(server.url, os.getpid())
    return server


def _is_lost(error: Exception) -> bool:
    """Whether an error is the server's: it does not answer, though its client tried for a minute, or says it cannot."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, httpx.TransportError)


def _send_what_is_left() -> None:
    """Let Prefect send the last lines and states, which it does in the background, while the server is there."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=_SEND_WITHIN)
