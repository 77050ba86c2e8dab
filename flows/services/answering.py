"""The server of models as a process: OpenAI's API by uvicorn, on the settings of the section `serve`."""

import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import replace

from components.api.settings import Serve
from components.core import params
from components.core.errors import BadSettings, TryAgain
from components.core.files import STATE, write_atomically
from flows.processes import locks
from flows.services import network

RUNNING = STATE / "serve"
"""Two files for each server of this folder, named by its process id: a lock that it holds, and its address."""


def run(recipes: Sequence[str], host: str | None, port: int | None) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `StageError` when it cannot begin."""
    settings = params.read("serve", Serve)
    settings = replace(settings, host=host or settings.host, port=port or settings.port)
    _check(settings)

    import uvicorn

    from components.api import app

    application = app.create(settings, recipes, importlib.metadata.version("lmforge"))
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(settings.timeout_seconds),
    )
    scheme = "https" if settings.tls_certificate else "http"
    address = f"{scheme}://{network.reached_at(settings.host)}:{settings.port}"
    _announce(address)
    print(f"OpenAI's API is at {address}/v1, and a page to try it at {address}", flush=True)
    uvicorn.Server(config).run()


def _check(settings: Serve) -> None:
    for path in (settings.tls_certificate, settings.tls_key):
        if path is not None and not path.exists():
            raise BadSettings(f"params.yaml: serve: {path} does not exist")
    if not network.is_free(settings.port, settings.host):
        raise TryAgain(f"port {settings.port} is taken: choose another one by --port or serve.port")


def _announce(address: str) -> None:
    """Tell other commands of this folder that this server runs, as long as it does."""
    write_atomically(RUNNING / f"{os.getpid()}.address", address)
    locks.keep(RUNNING / f"{os.getpid()}.lock")


def addresses() -> list[str]:
    """Where the servers of this folder are; what a dead one left is cleared away."""
    found = []
    for lock in sorted(RUNNING.glob("*.lock")):
        address = lock.with_suffix(".address")
        if locks.is_held(lock):
            found.append(address.read_text())
        else:
            address.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
    return found
