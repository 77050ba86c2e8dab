"""A pipeline to play with, and one Prefect server for all tests of a worker."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.registry import champion, store
from flows.processes import environment
from flows.services.server import prefect_server
from tests.components.support import tiny
from tests.flows.support import toy
from tests.flows.support.registry import MODEL, PARAMS
from tests.flows.support.running import Flow


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the toy pipeline, which is the current one."""
    monkeypatch.chdir(toy.make(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry of three versions: the second is champion, the third was judged better."""
    folder = tmp_path_factory.mktemp("registry")
    model = tiny.make_model(folder / "model", seed=0)
    reports = folder / "reports"
    reports.mkdir()
    (reports / "scores.json").write_text(json.dumps(tiny.scores()))
    package = tiny.make_package(folder / "package", model, reports, tiny.make_data(folder / "data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for number in (1, 2, 3):
            version = store.register(tiny.vary(package, folder / f"{number}", number), MODEL, {})
            present = store.aliases(MODEL).get(store.CHAMPION)
            champion.decide(version, tiny.decision(True, number, present), tiny.PAGE, present, str(number))
            if number < 3:
                champion.promote(MODEL, number, "better")
    return folder


@pytest.fixture
def registry(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder with a copy of that registry, the ledger and its recipe. It is the current one."""
    for name in ("mlflow", "ledger"):
        shutil.copytree(made / ".lmforge" / name, tmp_path / ".lmforge" / name)
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
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
