"""`data/tasks.yaml`: what is wrong is told in a line, with file, task and key."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from components.core import params
from components.core.errors import BadData, BadSettings
from components.data.settings import Validate
from components.tasks import Shot, Task, catalog, labels

GOOD: dict[str, Any] = {
    "name": "spam",
    "kind": "text",
    "template": "{text}",
    "answer_cue": "Spam:",
    "long_field": "text",
    "labels": ["ham", "spam"],
    "metric": "accuracy",
}
SPANS = GOOD | {"kind": "spans", "metric": "entity_f1", "labels": None}


def load(folder: Path, *entries: dict[str, Any]) -> dict[str, Task]:
    path = folder / "tasks.yaml"
    with path.open("w") as file:
        YAML().dump({"tasks": list(entries)}, file)
    return catalog.load(path)


def test_an_entry_becomes_a_task(tmp_path: Path) -> None:
    shot = {"inputs": {"text": "Win!"}, "target": "spam"}
    [task] = load(tmp_path, GOOD | {"examples": [shot], "baselines": ["tfidf_nearest"]}).values()
    assert task == Task(
        name="spam",
        template="{text}\nSpam:",
        long_field="text",
        labels=("ham", "spam"),
        metric="accuracy",
        shots=(Shot({"text": "Win!"}, "spam"),),
        baselines=("tfidf_nearest",),
    )


def test_labels_are_text(tmp_path: Path) -> None:
    listed: dict[str, list[object]] = {"a": [0, 1], "b": [True, False], "c": ["x", 2]}
    found = load(tmp_path, *(GOOD | {"name": name, "labels": values} for name, values in listed.items()))
    assert [task.labels for task in found.values()] == [("0", "1"), ("true", "false"), ("x", "2")]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"kind": "txt"}, r"spam.kind is 'txt'"),
    ({"long_fields": "text"}, r"spam.long_fields is not a known setting; did you mean `long_field`"),
    ({"template": None}, r"spam.template is missing: a task of the kind text needs it"),
    ({"template": "{txt}"}, r"spam.long_field is 'text', which the template lacks; did you mean `txt`"),
    ({"template": "Say it"}, r"spam.template has no input"),
    ({"template": "{text} {text}"}, r"spam.template has the input \{text\} twice"),
    ({"template": "{text}[ x"}, r"spam.template has a `\[` that is neither closed nor doubled"),
    ({"metric": "acuracy"}, r"spam.metric is 'acuracy': did you mean `accuracy`"),
    ({"metric": "chrf"}, r"spam.metric is chrf, but has to be accuracy, as the answers are labels"),
    ({"labels": None}, r"spam.metric is accuracy, for labels alone: one of exact_match"),
    ({"labels": "from the data"}, r"spam.labels is 'from the data': list them, or write `from data`"),
    ({"labels": ["a", "a"]}, r"spam.labels has 'a' twice"),
    ({"labels": ["a"]}, r"spam.labels has only one"),
    ({"extractive": True}, r"spam.extractive is for answers in the words of the text"),
    (
        {"examples": [{"inputs": {"text": "x"}, "target": "spm"}]},
        r"spam.examples.0.target is 'spm': did you mean `spam`",
    ),
    ({"examples": [{"inputs": {"txt": "x"}, "target": "spam"}]}, r"spam.examples.0.inputs.txt is not in the template"),
    ({"kind": "spans"}, r"spam.labels does not apply to a task of the kind spans"),
    ({"kind": "conversation"}, r"spam.template does not apply to a task of the kind conversation"),
    ({"kind": "preference"}, r"spam.template does not apply to a task of the kind preference"),
    (
        {"metric": "entity_f1", "labels": None},
        r"spam.metric is entity_f1: entity_f1 scores the tasks of the kind spans",
    ),
]


@pytest.mark.parametrize(("change", "problem"), WRONG, ids=lambda value: str(value)[:30])
def test_what_is_wrong_is_told(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    with pytest.raises(BadSettings, match=rf"tasks\.yaml: {problem}") as error:
        load(tmp_path, GOOD | change)
    assert "\n" not in str(error.value)


def test_a_task_has_a_name_and_no_other_has_it(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="a task has no name"):
        load(tmp_path, {"kind": "text"})
    with pytest.raises(BadSettings, match="two tasks have the name `spam`"):
        load(tmp_path, GOOD, GOOD)


def test_each_kind_has_an_entry_that_is_right(tmp_path: Path) -> None:
    talk, pairs = {"name": "talk", "kind": "conversation", "metric": "rouge_l"}, {"name": "pairs", "kind": "preference"}
    found = load(tmp_path, GOOD, SPANS | {"name": "entities"}, talk, pairs)
    assert [task.kind for task in found.values()] == ["text", "spans", "conversation", "preference"]
    with pytest.raises(
        BadSettings, match=r"params.yaml: x.pairs is of the kind preference, which nothing trains on yet"
    ):
        catalog.pick(found, ["spam", "pairs"], "params.yaml: x")
    with pytest.raises(BadSettings, match=r"params.yaml: x.span is not in data/tasks.yaml: did you mean `spam`"):
        catalog.pick(found, ["span"], "params.yaml: x")


def test_an_old_file_is_told_where_the_tasks_are() -> None:
    settings = params.load(params.PARAMS)["validate"] | {"tasks": {"topic": []}}
    with pytest.raises(BadSettings, match=r"validate.tasks is not a setting any more; data/tasks.yaml has the tasks"):
        params.parse(settings, Validate, "params.yaml: validate")


def resolve(folder: Path, targets: list[str], shots: tuple[Shot, ...] = ()) -> tuple[str, ...]:
    rows = [{"task": "t", "target": target} for target in targets] + [{"task": "other", "target": "no"}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "part.parquet")
    task = Task(name="t", template="{text}", long_field="text", metric="accuracy", labels_from_data=True, shots=shots)
    return labels.resolve({"t": task}, folder)["t"].labels


def test_labels_from_data_are_sorted_and_few(tmp_path: Path) -> None:
    assert resolve(tmp_path, ["b", "a", "b", "c"]) == ("a", "b", "c")
    most = [f"{number:03}" for number in range(labels.MOST)]
    assert resolve(tmp_path, most) == tuple(most)
    with pytest.raises(
        BadData, match="task t: its labels are `from data`, and the train examples have 201 different targets"
    ):
        resolve(tmp_path, [*most, "one more"])
    with pytest.raises(BadData, match="there is only the target 'a' in"):
        resolve(tmp_path, ["a", "a"])
    with pytest.raises(BadData, match="there is no example of it in"):
        resolve(tmp_path, [])
    with pytest.raises(BadData, match="an example to show has the target 'x', no label of the data"):
        resolve(tmp_path, ["a", "b"], (Shot({"text": ""}, "x"),))
