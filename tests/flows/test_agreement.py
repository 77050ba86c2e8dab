"""Sources have to fit the tasks that they name."""

import re
from pathlib import Path
from typing import Any

import pytest

from components.core import params
from components.core.errors import BadSettings
from components.data.settings import Ingest
from components.data.sources.columns import Columns
from components.tasks.task import Task
from flows import agreement

ROOT = Path(__file__).parents[2]
TASKS = {
    "instruct": Task(name="instruct", template="{instruction}[\n{input}]", long_field="instruction"),
    "chat": Task(name="chat", kind="conversation"),
    "entities": Task(name="entities", kind="spans", template="{text}", long_field="text"),
}
INSTRUCT = {"task": "instruct", "inputs": {"instruction": "q", "input": "i"}, "optional": ["input"], "target": "a"}


def problems(sections: dict[str, object]) -> list[str]:
    columns = params.parse(sections, Columns, "sources.yaml: x")
    return [
        name + problem for name, section in columns.of_tasks.items() for problem in agreement.misfits(section, TASKS)
    ]


def test_sections_that_fit_have_no_problem() -> None:
    sections = {
        "examples": INSTRUCT,
        "conversations": {"task": "chat", "messages": "messages"},
        "tags": {"task": "entities", "tokens": "tokens", "tags": "tags"},
    }
    assert problems(sections) == []


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        (
            {"examples": INSTRUCT | {"task": "chats"}},
            "examples.task chats is not in data/tasks.yaml: did you",
        ),
        (
            {"examples": INSTRUCT | {"task": "chat"}},
            "examples makes examples for tasks of the kind text, and",
        ),
        ({"tags": {"task": "instruct", "tokens": "a", "tags": "b"}}, "tags makes examples for tasks of the kind spans"),
        (
            {"examples": INSTRUCT | {"inputs": {"input": "i"}, "optional": []}},
            "examples.inputs has no `instruction`",
        ),
        (
            {"examples": INSTRUCT | {"optional": ["instruction"]}},
            "examples.optional names `instruction`, which",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(sections: dict[str, object], line: str) -> None:
    (problem,) = problems(sections)
    assert problem.startswith(line)


def test_only_what_is_taken_has_to_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "sources.yaml").write_text(
        "sources: [{name: films, kind: files, license: MIT, languages: [en], yields: [topic], files: [{path: x}], "
        "conversations: {task: topic, messages: m}}]"
    )
    settings = Ingest(sources=str(tmp_path / "sources.yaml"), licenses=("MIT",), take=("documents",), max_bad_rows=0)
    agreement.check(settings)
    line = (
        "source `films`: conversations makes examples for tasks of the kind conversation, and topic is of the kind text"
    )
    with pytest.raises(BadSettings, match=re.escape(line)):
        agreement.check(Ingest(sources=settings.sources, licenses=("MIT",), take=("topic",), max_bad_rows=0))


def test_what_a_mixture_names_is_known_and_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    recipe = {"tasks": {"topic": 1.0}}
    content: dict[str, Any] = {"ingest": {"take": ["topic"]}, "pretrain": {}, "finetune": {"a": recipe}}
    agreement.check_mixtures(content, "params.yaml")
    recipe["tasks"] |= {"sentiment_en": 1.0, "sentiment_xx": 1.0}
    with pytest.raises(BadSettings) as error:
        agreement.check_mixtures(content, "params.yaml")
    assert "finetune.a.tasks.sentiment_xx is not in data/tasks.yaml: did you mean `sentiment_" in str(error.value)
    assert "finetune.a.tasks.sentiment_en would have no rows: add sentiment_en to ingest.take" in str(error.value)


def test_what_a_mixture_names_has_rows_in_the_catalogue(tmp_path: Path) -> None:
    catalogue = tmp_path / "mine.yaml"
    catalogue.write_text(
        "sources: [{name: notes, kind: files, license: MIT, languages: [en], yields: [documents], files: [{path: x}]}]"
    )
    content = {"ingest": {"sources": str(catalogue)}, "pretrain": {}, "finetune": {"a": {"tasks": {"topic": 1.0}}}}
    line = f"p: finetune.a.tasks: no source of {catalogue} yields topic: add one"
    with pytest.raises(BadSettings, match=re.escape(line)):
        agreement.check_yields(content, "p")
    agreement.check_yields(content | {"finetune": {}}, "p")
