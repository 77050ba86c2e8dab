"""The supervisor, the process behind `lmforge up`: starts the services and restarts those that die, until stopped.

It imports little, to stay small: what needs Prefect's own library runs in a child.

docs/decisions.md, "A supervisor of our own"
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from types import FrameType
from urllib.parse import urlsplit

import requests
import typer

from components import tracking
from components.api.settings import Serve
from components.core import params
from components.core.errors import StageError, TryAgain
from components.core.files import write_atomically
from flows.processes import child, environment, locks
from flows.services import network, recovery, server, service, state
from flows.services.service import Service

_LOOK_EVERY = 0.5  # seconds
_RECOVER_EVERY = 10.0
_READY_WITHIN = 300.0
_LONGEST_PAUSE = 60.0
_STEADY = 60.0  # seconds after which a service counts as stable, which resets its restart back-off
_LET_GO = 20.0  # seconds to stop, for a worker whose runs end their stages


class Watched:
    """A service and its process; `permit` is called before each start."""

    def __init__(self, service: Service, permit: Callable[[], bool] = lambda: True) -> None:
        self.service = service
        self.since = 0.0  # seconds since the epoch
        self.restarts = -1
        self._permit = permit
        self._process: subprocess.Popen[str] | None = None
        self._pause = 0.0
        self._next_start = 0.0

    @property
    def pid(self) -> int | None:
        """The id of the process that was started here, if there is one."""
        return self._process.pid if self._process else None

    def look(self) -> bool:
        """Start the service if it is not running and its restart back-off is over; returns whether anything changed."""
        if self._process is not None:
            if self._process.poll() is None:
                return False
            self._on_exit(self._process)
            return True
        if time.monotonic() < self._next_start or self._is_there_already() or not self._permit():
            return False
        self._process = self.service.start("w" if self.restarts < 0 else "a")
        self.since = time.time()
        self.restarts += 1
        return True

    def stop(self, within: float) -> None:
        """End it, with all that it started."""
        if self._process is not None:
            child.stop(self._process, within)

    def _is_there_already(self) -> bool:
        """Whether the server of an earlier `lmforge run` answers; it is used as long as that run lasts."""
        return bool(self.service.url) and network.answers(self.service.url + self.service.health)

    def _on_exit(self, process: "subprocess.Popen[str]") -> None:
        """Kill what is left of its process group, and set the restart back-off, which grows while it keeps dying."""
        child.signal_group(process, signal.SIGKILL)
        steady = time.time() - self.since > _STEADY
        self._pause = 0.0 if steady else min(2 * self._pause + 1, _LONGEST_PAUSE)
        self._next_start = time.monotonic() + (0.0 if self.restarts == 0 else self._pause)
        self._process = None
        print(f"{self.service.name} ended with {process.returncode}; it is started again", flush=True)


@dataclass(frozen=True)
class ListenOptions:
    """Where the services listen; no port: the default one, or another that is free."""

    host: str = network.HOST
    prefect_port: int | None = None
    mlflow_port: int | None = None

    def arguments(self) -> list[str]:
        """The options as arguments of this module's command."""
        ports = {"--prefect-port": self.prefect_port, "--mlflow-port": self.mlflow_port}
        return ["--host", self.host, *(f"{name}={port}" for name, port in ports.items() if port)]


class Supervisor:
    """The services of one folder."""

    def __init__(self, options: ListenOptions) -> None:
        self._since = time.time()
        self._stopping = threading.Event()
        prefect = _prefect(options)
        self._url = prefect.service.url
        self._api = f"{self._url}/api"
        self._worker = Watched(service.worker(self._api), self._may_work)
        self._options = options
        self._servers = [prefect]
        self._watched = self._servers
        self._ready = False

    def run(self) -> None:
        """Start all services and keep them running until SIGTERM or Ctrl-C; then stop them."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            self._look()
            self._servers += map(Watched, [*_mlflow(self._options), _pages(self._options), *_serve()])
            self._wait_for(lambda: all(watched.service.is_ready for watched in self._servers), "servers")
            _register(self._url)
            with suppress(requests.RequestException):
                recovery.drop_missed(self._api)
            recovery.close_lost(self._api)
            self._watched = [*self._servers, self._worker]
            self._wait_for(lambda: self._worker.pid is not None, "worker")
            self._ready = True
            self._write()
            print("ready:", *(watched.service.page for watched in self._servers), flush=True)
            self._keep()
        finally:
            self._end()

    def _stop(self, _: int, __: FrameType | None) -> None:
        self._stopping.set()

    def _wait_for(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _READY_WITHIN
        while not self._stopping.is_set():
            self._look()
            if done():
                return
            if time.monotonic() > deadline:
                raise TryAgain(f"the {what} did not start within {_READY_WITHIN:.0f} s: see .lmforge/logs")
            self._stopping.wait(_LOOK_EVERY)
        sys.exit(0)

    def _keep(self) -> None:
        looked = 0.0
        while not self._stopping.wait(_LOOK_EVERY):
            with suppress(OSError):  # a full disk, or a server that does not answer: the next check tries again
                self._look()
                if time.monotonic() - looked > _RECOVER_EVERY:
                    looked = time.monotonic()
                    recovery.start_crashed(self._api)

    def _look(self) -> None:
        changed = [watched.look() for watched in self._watched]
        if any(changed):
            self._write()

    def _may_work(self) -> bool:
        """Called before a worker starts, when none of the runs of the one before it has a process any more."""
        with suppress(requests.RequestException):
            recovery.release_lost(self._api)
            return True
        return False

    def _write(self) -> None:
        """Record the state of the services for other commands."""
        prefect = self._servers[0]
        if prefect.pid is not None:
            state.announce(prefect.service.url, prefect.pid)
        content = {
            "pid": os.getpid(),
            "since": self._since,
            "host": self._options.host,
            "ready": self._ready,
            "services": {watched.service.name: _entry(watched) for watched in self._watched},
        }
        write_atomically(state.UP, json.dumps(content, indent=2))

    def _end(self) -> None:
        """Stop the worker first, as its runs still report to the servers."""
        self._ready = False
        with suppress(OSError):
            self._write()
        self._stop_worker()
        for watched in self._servers:
            watched.stop(_LET_GO)
        if self._servers[0].pid is not None:
            state.ADDRESS.unlink(missing_ok=True)
        state.UP.unlink(missing_ok=True)

    def _stop_worker(self) -> None:
        trainings: list[recovery.RunRecord] = []
        with suppress(requests.RequestException):
            trainings = recovery.at_work(self._api)
        self._worker.stop(_LET_GO)
        with suppress(requests.RequestException):
            recovery.set_aside(self._api, trainings)


def supervise(options: ListenOptions) -> None:
    """Be the supervisor of the current folder until SIGTERM or Ctrl-C. Raises `TryAgain` if it has one already."""
    if not locks.keep(state.LOCK):
        raise TryAgain("lmforge is up already in this folder: `lmforge status` says where")
    state.LOCK.write_text(str(os.getpid()))
    state.UP.unlink(missing_ok=True)
    Supervisor(options).run()


def main(host: str = network.HOST, prefect_port: int | None = None, mlflow_port: int | None = None) -> None:
    """Supervise the services of the current folder."""
    environment.prepare()
    supervise(ListenOptions(host, prefect_port, mlflow_port))


def _prefect(options: ListenOptions) -> Watched:
    """Our own server; one that a user chose by `PREFECT_API_URL` is not ours to start."""
    found = server.found_prefect()
    if found is None:
        return Watched(service.prefect(_port(options.prefect_port, service.PREFECT_PORT, options.host), options.host))
    port = urlsplit(found.url).port or service.PREFECT_PORT
    chosen = replace(service.prefect(port, options.host), url=found.url, page=found.url, takes_work=lambda: True)
    return Watched(chosen, lambda: "PREFECT_API_URL" not in os.environ)


def _mlflow(options: ListenOptions) -> list[Service]:
    """MLflow's server on the store, unless the store is a server itself."""
    migrate = "from components import tracking; tracking.uri()"  # in a child, as it imports MLflow
    subprocess.run([sys.executable, "-c", migrate], check=True)
    store = tracking.uri()
    if not store.startswith(tracking.SQLITE):
        return []
    return [service.mlflow(store, _port(options.mlflow_port, service.MLFLOW_PORT, options.host), options.host)]


def _pages(options: ListenOptions) -> Service:
    return service.pages(network.free_port(service.PAGES_PORT, options.host), options.host)


def _serve() -> list[Service]:
    """The server of models, where params.yaml has it started with the others."""
    section = params.load(params.PARAMS).get("serve")
    if section is None:
        return []
    settings = params.parse(section, Serve, f"{params.PARAMS}: serve")
    if not settings.with_up:
        return []
    port = network.free_port(settings.port, settings.host)
    return [service.serve(port, settings.host, tls=settings.tls_certificate is not None)]


def _port(chosen: int | None, usual: int, host: str) -> int:
    port = network.free_port(chosen or usual, host)
    if chosen and port != chosen:
        raise TryAgain(f"port {chosen} is taken: choose another one")
    return port


def _register(url: str) -> None:
    """Bring deployments and automations up to date, in a child process, to free its memory afterwards."""
    env = environment.for_children(PREFECT_API_URL=f"{url}/api")
    done = subprocess.run([sys.executable, "-m", "flows.retraining.deployments"], env=env, stdin=subprocess.DEVNULL)
    if done.returncode:
        error = StageError("the deployments could not be registered: see above")
        error.code = done.returncode
        raise error


def _entry(watched: Watched) -> dict[str, object]:
    return {
        "url": watched.service.url,
        "page": watched.service.page,
        "health": watched.service.health,
        "pid": watched.pid,
        "since": watched.since,
        "restarts": max(watched.restarts, 0),
    }


if __name__ == "__main__":
    try:
        typer.run(main)
    except StageError as failure:
        print(f"lmforge: {failure}", file=sys.stderr, flush=True)
        sys.exit(failure.code)
