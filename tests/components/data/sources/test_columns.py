"""Rows of every form become records by the columns that a source names."""

import json
import re

import pytest

from components.core import params
from components.core.errors import BadData, BadSettings
from components.data.sources.columns import Columns, records
from components.data.sources.rows import Row
from components.data.tables.records import Document, Example, Record, Rejected

SAYS = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]


def made(sections: dict[str, object], **values: object) -> Record:
    """The record of a row."""
    columns = params.parse(sections, Columns, "sources.yaml: x")
    taken = ["documents", *(section.task for section in columns.of_tasks.values())]
    columns.check("source `x`", taken if columns.documents else taken[1:])
    (record,) = records(iter([Row("a:1", "a.jsonl", 1, values)]), columns, taken)
    if isinstance(record, Rejected):
        raise BadData(str(record))
    return record


def messages(record: Record) -> object:
    assert isinstance(record, Example)
    return json.loads(record.inputs["messages"] or "")


def test_pages_are_joined_in_their_order() -> None:
    pages = [{"text": "One."}, {"text": None}, {"text": "Two."}]
    assert made({"documents": {"text": "pages.text"}}, pages=pages) == Document("a:1", "One.\n\nTwo.")
    assert made({"documents": {"text": "text"}}, text="One.") == Document("a:1", "One.")


@pytest.mark.parametrize(
    ("value", "labels", "target"),
    [
        ("spam", {}, "spam"),
        (3, {}, "3"),
        (3.0, {}, "3"),
        (True, {}, "true"),
        (False, {"false": "ham", "true": "spam"}, "ham"),
        (1, {"0": "ham", "1": "spam"}, "spam"),
    ],
)
def test_labels_are_text_numbers_or_truth_values(value: object, labels: dict[str, str], target: str) -> None:
    columns = {"task": "spam", "inputs": {"text": "sms"}, "target": "label", "labels": labels}
    assert made({"examples": columns}, sms="Win!", label=value) == Example("a:1", "spam", {"text": "Win!"}, target)


def test_an_optional_input_may_be_empty_or_absent() -> None:
    inputs = {"instruction": "instruction", "input": "input"}
    columns = {"examples": {"task": "i", "inputs": inputs, "optional": ["input"], "target": "output"}}
    empty = Example("a:1", "i", {"instruction": "Count.", "input": ""}, "1")
    assert made(columns, instruction="Count.", input="", output="1") == empty
    assert made(columns, instruction="Count.", input=None, output="1") == empty
    assert made(columns, instruction="Count.", output="1") == empty
    with pytest.raises(BadData, match="row 1: no column `instruction`; there are input, output"):
        made(columns, input="", output="1")


def test_nested_answers_and_pairs_are_reached_by_dots() -> None:
    squad = {"task": "q", "inputs": {"context": "context", "question": "question"}, "target": "answers.text"}
    row = {"context": "It is red.", "question": "Colour?", "answers": {"text": ["red", "Red"], "answer_start": [6, 6]}}
    assert made({"examples": squad}, **row) == Example(
        "a:1", "q", {"context": "It is red.", "question": "Colour?"}, "red"
    )
    pairs = {"task": "t", "inputs": {"text": "translation.en"}, "target": "translation.de"}
    assert made({"examples": pairs}, translation={"en": "red", "de": "rot"}) == Example(
        "a:1", "t", {"text": "red"}, "rot"
    )


def test_a_column_with_a_dot_in_its_name_comes_first() -> None:
    assert made({"documents": {"text": "doc.text"}}, **{"doc.text": "flat", "doc": {"text": "deep"}}) == Document(
        "a:1", "flat"
    )


def test_a_conversation_has_its_turns_before_the_answer() -> None:
    columns = {"conversations": {"task": "chat", "messages": "messages", "system": "system"}}
    said = made(columns, messages=SAYS, system="Be brief.")
    assert isinstance(said, Example)
    assert (said.task, said.target) == ("chat", "Hello.")
    assert messages(said) == [{"role": "system", "content": "Be brief."}, SAYS[0]]
    assert messages(made(columns, messages=SAYS, system="")) == messages(made(columns, messages=SAYS)) == SAYS[:1]
    with pytest.raises(BadData, match=re.escape("row 1: `messages`, turn 1: the role 'bot' is not known")):
        made(columns, messages=[{"role": "bot", "content": "x"}])


@pytest.mark.parametrize(
    ("prompt", "chosen", "rejected"),
    [
        ([SAYS[0]], [SAYS[1]], [SAYS[1] | {"content": "Go."}]),
        ([SAYS[0]], "Hello.", "Go."),
        ("Hi.", [SAYS[1]], [SAYS[1] | {"content": "Go."}]),
        ("Hi.", SAYS, [SAYS[0], SAYS[1] | {"content": "Go."}]),  # UltraFeedback: the answers repeat the prompt
        (None, SAYS, [SAYS[0], SAYS[1] | {"content": "Go."}]),
    ],
)
def test_preferences_may_be_turns(prompt: object, chosen: object, rejected: object) -> None:
    columns = {"task": "taste", "chosen": "c", "rejected": "r"} | ({"prompt": "p"} if prompt else {})
    pair = made({"preferences": columns}, p=prompt, c=chosen, r=rejected)
    assert isinstance(pair, Example)
    assert (messages(pair), pair.inputs["rejected"], pair.target) == (SAYS[:1], "Go.", "Hello.")


def test_preferences_may_be_texts() -> None:
    columns = {"task": "taste", "prompt": "p", "chosen": "c", "rejected": "r"}
    assert made({"preferences": columns}, p="Hi.", c="Hello.", r="Go.") == Example(
        "a:1", "taste", {"text": "Hi.", "rejected": "Go."}, "Hello."
    )
    other = [{"role": "user", "content": "Bye."}, SAYS[1]]
    with pytest.raises(BadData, match="`c` and `r` do not answer the same turns"):
        made({"preferences": columns}, p="Hi.", c=SAYS, r=other)


def test_tags_and_spans_become_lines_of_entities() -> None:
    names = {"0": "O", "1": "B-PER", "2": "I-PER"}
    tags = {"tags": {"task": "ner", "tokens": "tokens", "tags": "ner_tags", "labels": names}}
    expected = Example("a:1", "ner", {"text": "Ann Lee left"}, "PER: Ann Lee")
    assert made(tags, tokens=["Ann", "Lee", "left"], ner_tags=[1, 2, 0]) == expected
    spans = {"spans": {"task": "ner", "text": "text", "spans": "entities"}}
    assert made(spans, text="Ann Lee left", entities=[{"start": 0, "end": 7, "label": "PER"}]) == expected
    with pytest.raises(BadData, match="row 1: `ner_tags` is '9', which `labels` does not name"):
        made(tags, tokens=["Ann"], ner_tags=[9])
    with pytest.raises(BadData, match="row 1: `entities` is not a list but str"):
        made(spans, text="Ann", entities="Ann")


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({}, "source `x`: name the columns under one of `documents`, `examples`, `conversations`"),
        ({"inputs": {"a": "a"}, "optional": ["a"]}, "examples.optional names every input: one of them has to be there"),
        ({"inputs": {"messages": "a"}}, "examples.inputs has 'messages', a name of other sections: choose another"),
    ],
)
def test_sections_that_cannot_work_are_told(sections: dict[str, object], line: str) -> None:
    with pytest.raises(BadSettings, match=re.escape(line)):
        made({"examples": {"task": "t", "target": "b"} | sections} if sections else {}, a="x", b="y")
