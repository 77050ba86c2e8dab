"""A pipeline to play with, and one Prefect server for all tests of a worker."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flows import environment
from flows.services.server import prefect_server
from tests.flows import toy
from tests.flows.running import Flow


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the toy pipeline, which is the current one."""
    monkeypatch.chdir(toy.make(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Prefect server with a state folder of its own."""
    here = Path.cwd()
    before = dict(os.environ)
    os.chdir(tmp_path_factory.mktemp("prefect"))
    try:
        os.environ.pop("PREFECT_API_URL", None)
        environment.prepare()
        with prefect_server() as server:
            os.environ.clear()
            os.environ.update(before)
            server.wait_until_ready()
            os.chdir(here)
            yield server.url
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def run_flow(pipeline: Path, prefect_url: str) -> Iterator[Callable[[str], Flow]]:
    """Start a flow over the toy pipeline; it does not outlive the test."""
    flows: list[Flow] = []

    def start(name: str) -> Flow:
        flows.append(Flow(pipeline, prefect_url, f"{name} in {pipeline.name}"))
        return flows[-1]

    yield start
    for flow in flows:
        flow.process.kill()
        flow.process.wait()
