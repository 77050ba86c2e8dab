"""The model as others meet it: loaded far from this repository, and behind `mlflow models serve`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from components.registry import mlflow_model, store
from components.tokenizer.text import before

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, tiny_package: Path) -> Path:
    """The MLflow model of the tiny package."""
    folder = tmp_path_factory.mktemp("mlflow_model") / "model"
    mlflow_model.save(tiny_package, folder, "m-0")
    return folder


PROGRAM = """
import json, sys
import mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
ask = lambda prompts, **params: model.predict(prompts, params=params)
table = pandas.DataFrame({"prompt": ["Hello", "A fox?"]})
import components
print(json.dumps({
    "code": components.__file__,
    "list": ask(["Hello", "A fox?"]),
    "table": ask(table),
    "short": ask(["Hello"], max_new_tokens=2),
    "drawn": [ask(["Hello"] * 8, temperature=5.0, seed=seed) for seed in (1, 1, 2)],
    "long": ask(["word " * 500]),
    "stopped": ask(["Hello", "A fox?"], stop=[ask(["Hello"])[0][2:4], "unheard"]),
}))
"""


def test_it_runs_without_this_repository(saved: Path, tmp_path: Path) -> None:
    """`-I` and another folder keep the repository off the path; the installed one is taken away by hand."""
    hide = f"import sys; sys.path = [p for p in sys.path if p != {str(REPOSITORY)!r}]\n"
    hide += "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", hide + PROGRAM, str(saved)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["code"] == str(saved / "code/components/__init__.py")
    assert said["list"] == said["table"]
    assert len(said["list"]) == 2
    assert all(isinstance(text, str) for text in said["list"])
    assert said["list"][0].startswith(said["short"][0])
    assert said["drawn"][0] == said["drawn"][1] != said["drawn"][2]
    assert len(said["long"]) == 1
    assert said["stopped"][0] == before(said["list"][0], [said["list"][0][2:4]]).strip()


@pytest.mark.parametrize("kind", ["labels", "encoder_decoder", "original"])
def test_every_architecture_answers_each_prompt(kind: str, packages: dict[str, Path], tmp_path: Path) -> None:
    import mlflow

    mlflow_model.save(packages[kind], tmp_path / "model", "m-0")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    prompts = ["Hello", "A fox?", "word " * 500]
    answers = model.predict(prompts)
    assert [type(text) for text in answers] == [str] * 3
    assert answers == [model.predict([prompt])[0] for prompt in prompts]
    assert (model.metadata.signature.params is None) == (kind == "labels")


def test_it_carries_no_more_code_than_it_needs(saved: Path) -> None:
    size = sum(path.stat().st_size for path in (saved / "code").rglob("*.py"))
    assert size < 100_000
    assert not list(saved.rglob("*.pkl"))


def test_mlflow_serves_the_champion(mlflow_store: str, tiny_package: Path, tmp_path: Path) -> None:
    version = store.register(tiny_package, "served", {})
    store.move("served", {"champion": version.number, "previous": None, "challenger": None})
    port = free_port()
    programs = str(Path(sys.executable).parent)
    server = subprocess.Popen(
        [
            f"{programs}/mlflow",
            "models",
            "serve",
            "-m",
            "models:/served@champion",
            "--env-manager",
            "local",
            "-p",
            str(port),
        ],
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "MLFLOW_TRACKING_URI": mlflow_store},
        cwd=tmp_path,
        stdout=(tmp_path / "server.log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, tmp_path / "server.log")
        answer = requests.post(
            f"http://127.0.0.1:{port}/invocations",
            json={
                "dataframe_split": {"columns": ["prompt"], "data": [["Hello"], ["A fox?"]]},
                "params": {"max_new_tokens": 4},
            },
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        assert [type(text) for text in answer.json()["predictions"]] == [str, str]
        listed = requests.post(
            f"http://127.0.0.1:{port}/invocations",
            json={"inputs": ["Hello", "A fox?"], "params": {"max_new_tokens": 4}},
            timeout=30,
        )
        assert listed.json() == answer.json()
        refused = requests.post(
            f"http://127.0.0.1:{port}/invocations",
            json={"inputs": ["Hello"], "params": {"max_new_tokens": 10_000}},
            timeout=30,
        )
        assert refused.status_code == 400
        assert "max_new_tokens leaves" in refused.text
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(10)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            if requests.get(address, timeout=1).status_code == 200:
                return
        except requests.RequestException:
            time.sleep(0.2)
    pytest.fail(f"no answer from {address}: {log.read_text()}")
