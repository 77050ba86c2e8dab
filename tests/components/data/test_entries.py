"""The entries of a new source are valid, and its rows become examples of the new task."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from components.data.entries import NewSource, source_entry, task_entry
from components.data.recognition import Recognised, recognise
from components.data.sources import catalog
from components.data.sources.columns import Columns, records
from components.data.sources.datafile import RawRow
from components.data.sources.rows import Row
from components.data.tables.records import Example
from components.tasks import catalog as tasks
from components.tasks.task import Task

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
ROWS: dict[str, list[RawRow]] = {
    "classification": [{"text": f"text {n}", "label": n % 3} for n in range(30)],
    "question answering": [{"context": "Moss is green.", "question": "What is it?", "answers": {"text": ["green"]}}]
    * 2,
    "translation": [{"de": "Moos", "en": "moss"}] * 2,
    "prompt and completion": [{"prompt": f"Say {n}", "completion": str(n)} for n in range(30)],
    "instruction": [
        {"instruction": "Add", "input": "1 and 2 and 3", "output": "6"},
        {"instruction": "Go", "output": "."},
    ],
    "messages": [{"messages": CHAT}] * 2,
    "preference": [{"prompt": "Hi", "chosen": "Hello", "rejected": "No"}] * 2,
    "conll": [{"tokens": ["Moss", "grows"], "tags": ["B-PLANT", "O"]}] * 2,
    "spans": [{"text": "Moss grows", "spans": [{"start": 0, "end": 4, "label": "PLANT"}]}] * 2,
}


def made(rows: Sequence[RawRow], labels: dict[str, str]) -> tuple[Task, Example]:
    """The task of the entries for some rows, and the example that the source makes of the first."""
    found = recognise(rows)
    assert isinstance(found, Recognised)
    location = {"kind": "files", "files": [{"path": "rows.jsonl"}]}
    new = NewSource("rows", "task", "LicenseRef-own", ("en",), location, labels)
    source = catalog.parse(source_entry(new, found), Path("sources.yaml"))
    assert isinstance(source, Columns)
    [example] = records(iter([Row("0", "a", 1, rows[0])]), source, source.yields)
    assert isinstance(example, Example)
    return tasks.parse(task_entry(new, found, rows), Path("tasks.yaml")), example


@pytest.mark.parametrize("form", ROWS)
def test_every_form_makes_an_example_that_its_task_can_read(form: str) -> None:
    task, example = made(ROWS[form], {"0": "zero", "1": "one", "2": "two"} if form == "classification" else {})
    assert example.task == task.name
    if task.kind != "preference":
        inputs = {name: value or "" for name, value in example.inputs.items()}
        assert [turn["role"] for turn in task.turns(inputs)][-1] == "user"
        assert task.score(example.target or "", example.target or "") == 1
    if task.labels:
        assert (task.labels, example.target) == (("zero", "one", "two"), "zero")


def test_the_longer_input_of_instructions_may_be_cut() -> None:
    assert made(ROWS["instruction"], {})[0].long_field == "input"


def test_of_several_texts_with_a_label_the_longest_is_cut() -> None:
    task, example = made([{"label": n % 2, "Long text": "x" * (n + 1), "Title": "t"} for n in range(8)], {})
    assert (task.template, task.long_field) == ("{title}\n{long_text}\nLabel:", "long_text")
    assert set(example.inputs) == {"title", "long_text"}


def test_answers_in_the_passage_can_be_marked() -> None:
    assert made(ROWS["question answering"], {})[0].extractive
    elsewhere = [{"context": "Moss.", "question": "What?", "answer": "a plant"}]
    assert not made(elsewhere, {})[0].extractive


def test_many_labels_are_read_from_the_data() -> None:
    rows = [{"text": f"text {n}", "label": f"label {n % 25}"} for n in range(100)]
    assert made(rows, {})[0].labels_from_data


def test_documents_have_no_task() -> None:
    found = recognise([{"text": "Moss grows."}])
    assert isinstance(found, Recognised)
    new = NewSource("rows", "rows", "MIT", ("en",), {"kind": "files", "files": [{"path": "a.txt"}]}, {})
    assert task_entry(new, found, []) is None
    assert source_entry(new, found)["yields"] == ["documents"]
