"""A server of models in a thread of its own, on a free port of loopback, with the registry of a test."""

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import httpx
import uvicorn

from components.api import app
from components.api.settings import Serve
from components.core import params
from components.core.recipe import model_name
from components.registry import store
from components.registry.store import CHALLENGER, CHAMPION, PREVIOUS
from tests.components.support.tiny import DEFINITIONS

WRITER, LABELLER = "writer", "labeller"  # recipes
SETTINGS = replace(
    params.read("serve", Serve, DEFINITIONS.parents[1] / "params.yaml"), follow_seconds=0.2, max_new_tokens=64
)
WITHIN = 120.0  # seconds; on a busy machine


@contextmanager
def running(recipes: Sequence[str], settings: Serve = SETTINGS) -> Iterator[str]:
    """The address of a server for these recipes; it ends with the context."""
    config = uvicorn.Config(app.create(settings, recipes, "0"), port=0, log_level="warning", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=[server.serve()], daemon=True)
    thread.start()
    until(lambda: server.started and server.servers, "the server")
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join(WITHIN)
        assert not thread.is_alive(), "the server does not end"


def until(done, what: str) -> None:
    """Wait until something has happened."""
    deadline = time.monotonic() + WITHIN
    while not done():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)


def ready(address: str, recipe: str) -> dict:
    """What the server says about a recipe."""
    return httpx.get(f"{address}/ready").json()["models"][recipe]


def await_version(address: str, recipe: str, number: int) -> None:
    """Wait until a version is the champion that answers."""
    until(lambda: ready(address, recipe)["version"] == number, f"version {number}")


def point(recipe: str, champion: int, challenger: int | None = None) -> None:
    """Move the aliases."""
    store.move(model_name(recipe), {CHAMPION: champion, PREVIOUS: None, CHALLENGER: challenger})
