"""Examples that are too long for a prompt: left out, counted and said, or too many."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.errors import BadData
from components.tasks import Task
from components.tokenizer.tokenizer import Tokenizer
from components.training.data import left_out, mixture
from components.training.data.left_out import Count
from tests.components.support import chat_templates, kinds
from tests.components.support.tiny import TASKS

BUDGET = 60
CHAT = {"chat": Task(name="chat", kind="conversation", metric="rouge_l")}
QUESTIONS = "question_answering"


def questions(folder: Path, lengths: list[int]) -> None:
    """Examples of which the question alone, which is never cut, has so many words."""
    rows = [
        {
            "id": f"{n}",
            "source": "books",
            "task": QUESTIONS,
            "inputs": json.dumps({"context": f"The fox {n}." * 50, "question": "fox " * length}),
            "target": "fox",
        }
        for n, length in enumerate(lengths)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-00000.parquet")


def conversations(folder: Path, talks: list[list[dict[str, str]]]) -> None:
    rows = [
        {
            "id": f"{n}",
            "source": "books",
            "task": "chat",
            "inputs": json.dumps({"messages": json.dumps(turns)}),
            "target": "fox",
        }
        for n, turns in enumerate(talks)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-00000.parquet")


def test_what_is_too_long_is_neither_read_nor_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    questions(tmp_path, [1, 500, 2, 3])
    found = left_out.find(tmp_path, TASKS, tokenizer, BUDGET)
    assert (found.ids, found.counts) == ({"1"}, {QUESTIONS: Count(of=4, too_long=1)})
    assert found.facts() == {"left_out": {QUESTIONS: {"examples": 1, "of": 4}}}
    found.tell(BUDGET)
    assert capsys.readouterr().out == f"left out, as longer than a prompt of {BUDGET} tokens: 1 of 4 of {QUESTIONS}\n"
    layout = mixture.AsText(tokenizer, BUDGET, 8, reads_first=False)
    shape = mixture.Shape(BUDGET + 8, 0, tokenizer.padding)
    rows = mixture.PackedRows(tmp_path, TASKS, {QUESTIONS: 1.0}, layout, shape, 1, found.ids)
    read = {example["id"] for example, _ in rows.examples(np.arange(12))}
    assert read == {"0", "2", "3"}


def test_where_all_fit_nothing_is_said(
    tmp_path: Path, tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str]
) -> None:
    questions(tmp_path, [1, 2])
    found = left_out.find(tmp_path, TASKS, tokenizer, BUDGET)
    found.tell(BUDGET)
    found.check(0.0, "here")
    assert (found.facts(), found.ids, capsys.readouterr().out) == ({}, frozenset(), "")


def test_a_task_that_loses_more_than_its_share_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    questions(tmp_path, [1, 500, 500, 3])
    found = left_out.find(tmp_path, TASKS, tokenizer, BUDGET)
    found.check(0.5, "here")
    found.check(None, "here")
    with pytest.raises(BadData, match=r"here: 2 of 4 examples of the task question_answering .* max_left_out is 0\.4"):
        found.check(0.4, "here")
    questions(tmp_path, [500])
    with pytest.raises(BadData, match=r"1 of 1 examples .* and none is left"):
        left_out.find(tmp_path, TASKS, tokenizer, BUDGET).check(None, "here")


def test_of_a_conversation_its_last_question_is_cut_and_no_answer(tmp_path: Path, tokenizer: Tokenizer) -> None:
    long, short = "fox " * 500, "fox"
    talks = [
        [{"role": "user", "content": long}],
        [{"role": "system", "content": long}, {"role": "user", "content": short}],
        [*({"role": role, "content": long} for role in ("user", "assistant")), {"role": "user", "content": short}],
    ]
    conversations(tmp_path, talks)
    assert left_out.find(tmp_path, CHAT, tokenizer, BUDGET).ids == {"1"}


def test_turns_that_a_chat_template_refuses_are_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    kinds.write("mistral", tmp_path / "tokenizer", chat_template=chat_templates.MISTRAL)
    tokenizer = Tokenizer.load(tmp_path / "tokenizer")
    ask, reply = ({"role": role, "content": "fox"} for role in ("user", "assistant"))
    conversations(tmp_path, [[ask], [ask, ask], [ask, reply, ask], [ask, reply, reply, ask]])
    found = left_out.find(tmp_path, CHAT, tokenizer, BUDGET)
    assert found.ids == {"1", "3"}
    assert (found.counts["chat"].refused, found.counts["chat"].of) == (2, 4)
    found.tell(BUDGET)
    said = capsys.readouterr().out
    assert said.startswith("left out, as refused by the chat template: 2 of 4 of chat (the chat template refuses")
    with pytest.raises(BadData, match=r"2 of 4 examples .* user, user.* max_left_out is 0\.1: mend turns"):
        found.check(0.1, "here")
    layout = mixture.AsText(tokenizer, BUDGET, 8, reads_first=False)
    shape = mixture.Shape(BUDGET + 8, 0, tokenizer.padding)
    rows = mixture.PackedRows(tmp_path, CHAT, {"chat": 1.0}, layout, shape, 1, found.ids)
    assert {example["id"] for example, _ in rows.examples(np.arange(4))} == {"0", "2"}
