"""The model as others meet it: loaded far from this repository, and behind `mlflow models serve`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from components.registry import mlflow_model, store
from components.serving.answering import before

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow puts the code of each loaded model on the path, and child processes of later tests would find it."""
    monkeypatch.setattr(sys, "path", sys.path.copy())


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
    "conversation": ask([[{"role": "user", "content": "Hello"}]]),
    "stopped": ask(["Hello", "A fox?"], stop=[ask(["A fox?"])[0][2:4], "unheard"]),
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
    assert said["conversation"] == said["list"][:1]
    assert said["stopped"][1] == before(said["list"][1], [said["list"][1][2:4]]).strip() != said["list"][1]


@pytest.mark.parametrize("kind", ["labels", "encoder_decoder", "original", "adapter"])
def test_every_architecture_answers_each_prompt(kind: str, packages: dict[str, Path], tmp_path: Path) -> None:
    import mlflow

    mlflow_model.save(packages[kind], tmp_path / "model", "m-0")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    prompts = ["Hello", "A fox?", "word " * 5]
    answers = model.predict(prompts)
    assert [type(text) for text in answers] == [str] * 3
    assert answers == [model.predict([prompt])[0] for prompt in prompts]
    assert (model.metadata.signature.params is None) == (kind == "labels")


def test_it_carries_no_more_code_than_it_needs(saved: Path) -> None:
    rooms = {path.parent.name for path in (saved / "code").rglob("components/*/__init__.py")}
    assert rooms == {"core", "model", "serving", "tasks", "tokenizer"}
    served = {path.name for path in (saved / "code/components/serving").glob("*.py")}
    assert served == {"__init__.py", "answering.py", "reply.py", "request.py"}, "no engine, which mlflow does not run"
    assert not list(saved.rglob("*.pkl"))


@pytest.fixture(scope="module")
def served(migrated_store: str, tiny_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a champion that `mlflow models serve` serves."""
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", migrated_store)
        version = store.register(tiny_package, "served", {})
        store.move("served", {"champion": version.number, "previous": None, "challenger": None})
    port, programs = free_port(), str(Path(sys.executable).parent)
    options = ["-m", "models:/served@champion", "--env-manager", "local", "-p", str(port)]
    server = subprocess.Popen(
        [f"{programs}/mlflow", "models", "serve", *options],
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "MLFLOW_TRACKING_URI": migrated_store},
        cwd=folder,
        stdout=(folder / "server.log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, folder / "server.log")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(10)


MESSAGES = [{"role": "user", "content": "Hello"}]


def test_every_form_of_a_request_is_answered_alike(served: str) -> None:
    short = {"params": {"max_new_tokens": 4}}
    answers = [
        requests.post(served, json=body, timeout=30).json()["predictions"]
        for body in (
            {"inputs": ["Hello", "A fox?"]} | short,
            {"instances": ["Hello", "A fox?"]} | short,
            {"dataframe_split": {"columns": ["prompt"], "data": [["Hello"], ["A fox?"]]}} | short,
            {"dataframe_records": [{"messages": MESSAGES}, {"messages": [{"role": "user", "content": "A fox?"}]}]}
            | short,
        )
    ]
    assert [type(text) for text in answers[0]] == [str, str]
    assert all(answer == answers[0] for answer in answers)
    alone = requests.post(served, json={"messages": MESSAGES, "max_new_tokens": 4}, timeout=30)
    assert alone.json() == answers[0][:1]


def test_a_conversation_is_read_as_a_whole(served: str) -> None:
    fox = {"role": "assistant", "content": "A fox jumps over the dog."}
    conversation = [*MESSAGES, fox, {"role": "user", "content": "What?"}]
    [long, short] = requests.post(served, json={"inputs": [conversation, "What?"]}, timeout=30).json()["predictions"]
    [again] = requests.post(served, json={"messages": conversation}, timeout=30).json()
    assert again == long != short


@pytest.mark.parametrize(
    ("request_body", "line"),
    [
        ({"inputs": ["Hi"], "params": {"temperature": -1}}, "temperature is -1: it should be at least 0"),
        ({"inputs": ["Hi"], "params": {"temperature": None}}, "temperature is null: it should be a finite number"),
        ({"inputs": ["Hi"], "params": {"seed": -1}}, "seed is -1: it should be at least 0"),
        ({"inputs": ["Hi"], "params": {"max_new_tokens": -1}}, "max_new_tokens is -1: it should be at least 1"),
        ({"inputs": ["Hi"], "params": {"max_new_tokens": 90}}, "max_new_tokens is 90: it should be at most 77, as"),
        ({"inputs": ["Hi"], "params": {"max_tokens": 4}}, "`max_tokens` is not a parameter; did you mean `max_new_"),
        ({"messages": MESSAGES, "max_tokens": 4}, "`max_tokens` is not a parameter; did you mean `max_new_tokens`?"),
        ({"user": "me", "messages": MESSAGES}, "`user` is not a parameter; known: max_new_tokens, temperature"),
        ({"inputs": ["Hi"], "params": {"stop": [""]}}, 'stop[0] is "": it should be of length 1 or more'),
        ({"inputs": ["Hi", None]}, "prompt 2: null is no prompt: it should be a text, or a list of messages"),
        ({"dataframe_split": {"columns": ["p"], "data": [["Hi"], [None]]}}, "prompt 2: null is no prompt"),
        ({"dataframe_split": {"columns": ["p", "q"], "data": [["Hi", "Ho"]]}}, "should have one column of prompts"),
        ({"inputs": [["Hi", "Ho"]]}, 'prompt 1: "Hi" is no message'),
        ({"messages": [{"role": "user"}]}, "is no message: it should have a role and a content"),
        ({"prompt": "Hi", "messages": MESSAGES}, "should have one of messages, prompt, input"),
        ({"inputs": ["\ud800"]}, "a text is not Unicode"),
        ({"inputs": ["word " * 500]}, "and at most 88 fit: shorten it"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_one_line(served: str, request_body: object, line: str) -> None:
    answer = requests.post(served, data=json.dumps(request_body), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    refusal = answer.json()
    assert line in refusal["message"].splitlines()[-1]
    assert "stack_trace" not in refusal


def test_other_models_are_asked_as_before(saved: Path, tmp_path: Path) -> None:
    """Ours look at requests before MLflow does; those that are loaded beside them are not touched."""
    import mlflow

    ours = mlflow.pyfunc.load_model(str(saved))
    (tmp_path / "echo.py").write_text(ECHO)
    mlflow.pyfunc.save_model(tmp_path / "model", python_model=str(tmp_path / "echo.py"))
    echo = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert echo.predict(["Hello", None], params={"max_tokens": 4}) == ["Hello", None]
    with pytest.raises(mlflow.exceptions.MlflowException, match="`max_tokens` is not a parameter"):
        ours.predict(["Hello"], params={"max_tokens": 4})


ECHO = """
import mlflow
class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input
mlflow.models.set_model(Echo())
"""


def test_a_model_that_labels_has_no_parameters(packages: dict[str, Path], tmp_path: Path) -> None:
    import mlflow

    mlflow_model.save(packages["labels"], tmp_path / "model", "m-0")
    model = mlflow.pyfunc.load_model(str(tmp_path / "model"))
    assert model.predict({"messages": MESSAGES}) == model.predict("Hello")
    with pytest.raises(mlflow.exceptions.MlflowException, match="`seed` is not a parameter"):
        model.predict("Hello", params={"seed": 1})


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
