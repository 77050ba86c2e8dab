"""A task of one's own, by YAML alone: an entry of `data/tasks.yaml`, a source, and a share of the mixture."""

import importlib
import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from components.core import params
from components.data import listing
from components.serving import answering
from components.serving.request import conversation
from components.tasks import prompts
from components.tasks.task import trained_tasks
from flows import presets
from tests.support import corpus

SPAM = {
    "name": "spam",
    "kind": "text",
    "template": "{text}[\nFrom {sender}]",
    "answer_cue": "Spam:",
    "long_field": "text",
    "labels": "from data",
    "examples": [{"inputs": {"text": "You won a prize!"}, "target": "true"}],
    "metric": "accuracy",
    "baselines": ["tfidf_logistic_regression"],
}
SOURCE = {
    "name": "messages",
    "kind": "files",
    "license": "MIT",
    "languages": ["en"],
    "yields": ["spam"],
    "files": [{"path": "messages.jsonl"}],
    "examples": {
        "task": "spam",
        "inputs": {"text": "body", "sender": "from"},
        "optional": ["sender"],
        "target": "is_spam",
    },
}
STEPS = {"steps": 2, "validate_every": 2, "checkpoint_every": 2}
STAGES = (
    ("ingest",),
    ("validate", "raw"),
    ("prepare",),
    ("validate", "prepared"),
    ("tokenizer",),
    ("encode",),
    ("pretrain",),
    ("finetune", "assistant"),
    ("evaluate", "base"),
    ("evaluate", "assistant"),
    ("package", "assistant"),
)


def write(path: str, content: Any) -> None:
    with Path(path).open("w", encoding="utf-8") as file:
        YAML().dump(content, file)


def messages(rows: int = 80) -> str:
    """JSON lines with truth values as labels; every other one says who sent it."""
    chance = random.Random("messages")
    lines = []
    for number in range(rows):
        spam = number % 2 == 0
        word = chance.choice(["prize", "offer", "winner"] if spam else ["lunch", "train", "book"])
        sender = {"from": f"{number}"} if chance.random() < 0.5 else {}
        lines.append(json.dumps({"body": f"Note {number} about the {word}.", "is_spam": spam, **sender}))
    return "\n".join(lines)


@pytest.fixture
def settings() -> dict[str, Any]:
    """Those of the preset `smoke`, for the new task alone and in two steps."""
    found = presets.settings_of(["smoke"], params.load(params.PARAMS))
    found["ingest"] |= {"sources": "sources.yaml", "licenses": ["Apache-2.0", "MIT"], "take": ["documents", "spam"]}
    found["pretrain"] |= {"sequence_length": 160, "optimization": found["pretrain"]["optimization"] | STEPS}
    recipe = found["finetune"]["assistant"]
    recipe |= {"tasks": {"spam": 1.0}, "max_prompt_tokens": 100, "optimization": recipe["optimization"] | STEPS}
    return found


@pytest.mark.usefixtures("mlflow_store")
def test_a_task_of_yaml_is_trained_scored_and_served(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    corpus.write(Path("corpus"), Path("sources.yaml"))
    documents = [source for source in params.load(Path("sources.yaml"))["sources"] if source["yields"] == ["documents"]]
    Path("messages.jsonl").write_text(messages())
    Path("data").mkdir()
    write("sources.yaml", {"sources": [*documents, SOURCE]})
    write("data/tasks.yaml", {"tasks": [SPAM]})
    write("params.yaml", settings)
    listing.refresh()
    for stage, *arguments in STAGES:
        importlib.import_module(f"components.stages.{stage}").main(*arguments)

    model = Path("models/finetuned/assistant")
    [task] = (trained_tasks(model) or {}).values()
    assert (task.name, task.labels) == ("spam", ("false", "true"))
    for name in ("base", "assistant"):
        score = json.loads(Path(f"reports/evaluation/{name}/scores.json").read_text())["tasks"]["spam"]
        assert score["metric"] == "accuracy"
        assert score["baselines"]["tfidf_logistic_regression"]["value"] > score["baselines"]["majority"]["value"]
    for row in pq.read_table("reports/evaluation/assistant/predictions.parquet").to_pylist():
        assert row["prompt"].startswith("You won a prize!\nSpam:\nassistant: true\nNote ")
        assert row["prediction"] in task.labels

    Path("data/tasks.yaml").unlink()  # the model knows its tasks anywhere
    served, inputs = answering.load(Path("models/package/assistant")), {"text": "Note 7 about the prize.", "sender": ""}
    asked = served.prompt(conversation(task.prompt(inputs)), served.defaults)
    assert asked == prompts.fit(task, inputs, served.tokenizer, 100)
