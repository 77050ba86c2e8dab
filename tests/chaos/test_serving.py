"""Faults under a server of models at work: it is killed, its disk fills, the registry is locked, packages vanish."""

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import chdir, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from components.core import params
from components.registry import store
from components.registry.store import CHALLENGER, CHAMPION, PREVIOUS
from components.tasks import prompts
from components.traffic import files
from components.traffic.files import ANSWERS, FOLDER
from flows.cli import status
from flows.services import network
from tests.chaos.support.faults import Recovered, Start, fill, small_disk
from tests.chaos.support.running import Clock, Run
from tests.components.support import tiny
from tests.flows.support.running import REPOSITORY, wait_until

pytestmark = pytest.mark.xdist_group("chaos")

MODEL = "lmforge-assistant"
LONG = {"model": "assistant", "prompt": "x", "max_tokens": 60, "n": 16, "temperature": 1.0, "stream": True}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with three versions of a decoder, and settings by which all answers are kept."""
    folder = tmp_path_factory.mktemp("served")
    data, reports = tiny.make_data(folder / "inputs"), folder / "reports"
    reports.mkdir()
    (reports / "scores.json").write_text(json.dumps(tiny.scores()))
    section = params.load(REPOSITORY / "params.yaml")["serve"]
    section |= {"log": {"share": 1.0, "file_megabytes": 1, "max_megabytes": 10}, "follow_seconds": 0.2}
    with (folder / "params.yaml").open("w") as file:
        YAML().dump({"finetune": {"assistant": {}}, "serve": section}, file)
    (folder / "dvc.yaml").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for seed in range(3):
            model = tiny.make_model(folder / f"model-{seed}", seed)
            package = tiny.make_package(folder / f"package-{seed}", model, reports, data)
            taught = {"tasks": [task.definition() for task in tiny.TASKS.values()], prompts.BUDGET: 60}
            (package / "training.json").write_text(json.dumps(taught))
            store.register(package, MODEL, {})
        point(1)
        yield folder


@pytest.fixture
def serve(registry: Path, start: Start) -> Callable[[], tuple[Run, str]]:
    """Start a server in that folder; where it is, as soon as it has a model."""
    with chdir(registry):
        point(1)

    def begin() -> tuple[Run, str]:
        port = network.free_port(8000)
        run = start(registry, "flows.cli.main", "serve", "--port", str(port))
        address = f"http://127.0.0.1:{port}"
        run.says("OpenAI's API is at")
        assert wait_until(lambda: answers_with(address), bool, 120), run.output
        return run, address

    return begin


def point(champion: int) -> None:
    store.move(MODEL, {CHAMPION: champion, PREVIOUS: None, CHALLENGER: None})


def state(address: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{address}/ready", timeout=30).json()
    return found


def answers_with(address: str) -> int | None:
    try:
        number: int | None = state(address)["models"]["assistant"]["version"]
    except httpx.TransportError:
        return None
    return number


def ask(address: str, model: str = "assistant") -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
    return httpx.post(f"{address}/v1/chat/completions", json=body, timeout=120)


def kept(folder: Path) -> int:
    return int(files.read(folder / FOLDER, ANSWERS).num_rows)


def not_written(address: str) -> float:
    page = httpx.get(f"{address}/metrics", timeout=30).text
    found = re.search(r'^lmforge_log_answers_total\{outcome="not_written"\} (\S+)$', page, re.MULTILINE)
    assert found, page
    return float(found[1])


def test_a_server_that_is_killed_in_mid_stream(
    registry: Path, serve: Callable[[], tuple[Run, str]], recovered: Recovered
) -> None:
    run, address = serve()
    before = kept(registry)
    assert ask(address).status_code == 200
    assert wait_until(lambda: kept(registry), lambda count: count == before + 1, seconds=30)
    with httpx.stream("POST", f"{address}/v1/completions", json=LONG, timeout=120) as stream:
        parts = stream.iter_lines()
        assert next(parts).startswith("data: ")
        clock = Clock()
        run.kill()
        with pytest.raises(httpx.TransportError):  # the client is not left waiting, nor told that this was all
            assert "data: [DONE]" not in [*parts]
    with chdir(registry):
        assert [*status.served()] == []
    _, again = serve()
    assert ask(again).status_code == 200
    recovered("a server killed in mid-stream", clock)
    assert kept(registry) >= before + 1


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_under_the_kept_answers(
    registry: Path, serve: Callable[[], tuple[Run, str]], recovered: Recovered
) -> None:
    with small_disk(registry / FOLDER, megabytes=2):
        run, address = serve()
        filler = fill(registry / FOLDER)
        assert {ask(address).status_code for _ in range(20)} == {200}
        assert wait_until(lambda: not_written(address), lambda count: count == 20, seconds=30)
        assert {ask(address).status_code for _ in range(20)} == {200}
        assert wait_until(lambda: not_written(address), lambda count: count == 40, seconds=30)
        assert run.output.count("answers are not kept") == 1

        filler.unlink()
        clock = Clock()
        assert ask(address).status_code == 200
        assert wait_until(lambda: kept(registry), bool, seconds=30)
        recovered("a full disk under the kept answers", clock)
        run.kill()


def test_a_registry_that_is_locked(registry: Path, serve: Callable[[], tuple[Run, str]], recovered: Recovered) -> None:
    _, address = serve()
    with closing(sqlite3.connect(registry / ".lmforge/mlflow/mlflow.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        assert {ask(address).status_code for _ in range(20)} == {200}
        assert wait_until(lambda: state(address)["registry"], bool, seconds=120), "it should say that it cannot read"
        assert ask(address).headers["x-lmforge-version"] == f"{MODEL}/1"
        assert state(address)["ready"]
        database.execute("COMMIT")
    clock = Clock()
    with chdir(registry):
        point(2)
    assert wait_until(lambda: answers_with(address), lambda number: number == 2, seconds=120)
    recovered("a locked registry", clock)
    assert state(address)["registry"] is None


def test_packages_that_are_removed(registry: Path, serve: Callable[[], tuple[Run, str]], recovered: Recovered) -> None:
    _, address = serve()
    assert ask(address, "assistant@2").status_code == 200
    artifacts, saved = registry / ".lmforge/mlflow/artifacts/models", registry / "saved"
    with chdir(registry):
        shutil.rmtree(".lmforge/packages")
        shutil.move(artifacts, saved)
        assert ask(address).headers["x-lmforge-version"] == f"{MODEL}/1"
        assert ask(address, "assistant@2").status_code == 200  # it is in memory
        refused = ask(address, "assistant@3")
        assert refused.status_code == 503
        assert "are gone" in refused.json()["error"]["message"]
        point(3)
        failure = wait_until(lambda: state(address)["models"]["assistant"]["failure"], bool, seconds=60)
        assert failure["version"] == 3
        assert ask(address).headers["x-lmforge-version"] == f"{MODEL}/1"
        point(2)  # the one in memory takes over all the same
        assert wait_until(lambda: answers_with(address), lambda number: number == 2, seconds=60)
        shutil.move(saved, artifacts)
        clock = Clock()
        point(3)
        assert wait_until(lambda: answers_with(address), lambda number: number == 3, seconds=120)
        recovered("removed packages", clock)
