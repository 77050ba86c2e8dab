"""The services that `lmforge up` starts: the servers of Prefect and MLflow, the pages of runs, the worker."""

import socket
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from components.core.files import STATE
from flows.processes import child, environment
from flows.processes.worktree import BY_HAND, RUNS
from flows.services import network, prefect_api
from flows.services.network import HOST

PREFECT_PORT = 4200
MLFLOW_PORT = 5000
PAGES_PORT = 4280
PREFECT_HEALTH = "/api/health"
POOL = "lmforge"
"""The work pool of the deployments."""


@dataclass(frozen=True)
class Service:
    """How a service is started, and its addresses: `url` for programs of this machine, `page` for users."""

    name: str
    module: str
    arguments: tuple[str, ...]
    settings: Mapping[str, str]
    url: str = ""  # empty: it does not listen
    page: str = ""
    health: str = ""
    takes_work: Callable[[], bool] = lambda: True  # for one that may answer before it can do its work

    @property
    def log(self) -> Path:
        """The file with its output."""
        return STATE / "logs" / f"{self.name}-server.log"

    @property
    def is_ready(self) -> bool:
        """Whether it answers and accepts work; one without an address is ready as soon as it runs."""
        if not self.url:
            return True
        return network.answers(self.url + self.health) and self.takes_work()

    def start(self, mode: str = "w") -> "subprocess.Popen[str]":
        """Start it as a child that dies with the calling thread; its log is opened in the mode `mode`."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open(mode) as output:
            env = environment.for_children(**self.settings)
            return child.start(self.module, *self.arguments, env=env, output=output)


def prefect(port: int, host: str = HOST) -> Service:
    """Prefect's server with its pages."""
    page = f"http://{network.reached_at(host)}:{port}"
    return Service(
        "prefect",
        "prefect",
        ("server", "start", "--host", host, "--port", str(port)),
        {
            "PREFECT_SERVER_API_HOST": host,
            "PREFECT_SERVER_API_PORT": str(port),
            "PREFECT_SERVER_UI_API_URL": f"{page}/api",
            "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
            # By default leases are in memory, and a restart of the server would end every run that holds one.
            # docs/decisions.md, "Leases on disk"
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        },
        url=network.url(host, port),
        page=page,
        health=PREFECT_HEALTH,
        takes_work=partial(prefect_api.takes_work, f"{network.url(host, port)}/api"),
    )


def mlflow(store: str, port: int, host: str = HOST) -> Service:
    """MLflow's server with its pages, on a store such as `sqlite:////path/mlflow.db`.

    docs/decisions.md, "Runs write to MLflow's SQLite file, not through its server"
    """
    return Service(
        "mlflow",
        "mlflow",
        ("server", "--host", host, "--port", str(port), "--workers", "1", "--backend-store-uri", store),
        {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # its job runner and helpers take 2 GB
        url=network.url(host, port),
        page=f"http://{network.reached_at(host)}:{port}",
        health="/health",
    )


def pages(port: int, host: str = HOST) -> Service:
    """A server of reports and Data Docs, to which Prefect's pages link: no browser follows a link to a file."""
    for folder in (Path("reports"), STATE / "data-docs"):
        link = RUNS / BY_HAND / folder
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)  # it points elsewhere when this folder was moved or copied
        link.symlink_to(folder.absolute())
    return Service(
        "pages",
        "http.server",
        ("--bind", host, "--directory", str(RUNS), str(port)),
        {},
        url=network.url(host, port),
        page=f"http://{network.reached_at(host)}:{port}",
    )


def serve(port: int, host: str, tls: bool) -> Service:
    """The server of models; while it has none to answer with, it waits for the first champion."""
    scheme = "https" if tls else "http"
    return Service(
        "serve",
        "flows.cli.main",
        ("serve", "--host", host, "--port", str(port)),
        {},
        url=network.url(host, port, scheme),
        page=f"{scheme}://{network.reached_at(host)}:{port}",
        health="/health",
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
    """One name for each machine, so that each run shows which worker had it."""
    return socket.gethostname()
