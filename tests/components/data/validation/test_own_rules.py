"""The rules of users: what breaks one, and what is shown of it."""

from typing import Any

import pyarrow as pa
import pytest

from components.core import params
from components.core.errors import BadSettings
from components.data.settings import OwnRule
from components.data.tables.records import DOCUMENTS, EXAMPLES, dump
from components.data.validation import own_rules

TEXTS = ["Good.", " ", None, "no end", "12.5", "naïve 日本."]


def rule(**changes: Any) -> OwnRule:
    given = {"name": "x", "severity": "block", "data": "raw", "table": "documents", "column": "text"} | changes
    return params.parse(given, OwnRule, "rule")


def documents(*texts: str | None, source: str = "notes") -> pa.RecordBatch:
    rows = [{"id": str(number), "source": source, "text": text} for number, text in enumerate(texts)]
    return pa.RecordBatch.from_pylist(rows, DOCUMENTS)


def passed(judged: list[str | None]) -> list[bool | None]:
    return [None if found is None else not found for found in judged]


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ({"present": True}, [True, False, False, True, True, True]),
        ({"min_characters": 2, "max_characters": 6}, [True, False, None, True, True, False]),
        ({"min_characters": 9}, [False, False, None, False, False, True]),
        ({"min_value": 10.0}, [False, False, None, False, True, False]),
        ({"max_value": 12.0}, [False, False, None, False, False, False]),
        ({"matches": r"[.]$"}, [True, False, None, False, False, True]),
        ({"excludes": r"\p{Han}"}, [True, True, None, True, True, False]),
        ({"one_of": ["Good.", "12.5"]}, [True, False, None, False, True, False]),
    ],
)
def test_each_check_judges_each_value(check: dict[str, Any], expected: list[bool | None]) -> None:
    assert passed(own_rules.judged(rule(**check), documents(*TEXTS))) == expected


def test_only_rows_of_where_are_judged() -> None:
    of_notes = rule(max_characters=1, where={"source": "notes"})
    assert passed(own_rules.judged(of_notes, documents("long", source="notes"))) == [False]
    assert passed(own_rules.judged(of_notes, documents("long", source="web"))) == [None]


def test_an_input_of_examples_is_a_column() -> None:
    rows = [{"task": "topic", "inputs": inputs} for inputs in (dump({"title": "abc"}), dump({"text": "abc"}), "{")]
    batch = pa.RecordBatch.from_pylist(rows, EXAMPLES)
    found = own_rules.judged(rule(table="examples", column="inputs.title", max_characters=2), batch)
    assert passed(found) == [False, None, None]


def test_excerpts_are_short_and_without_personal_data() -> None:
    text = f"write to jane@example.org\nor {'x' * 500}"
    (found,) = own_rules.judged(rule(excludes="or x"), documents(text))
    assert found is not None
    assert "jane@example.org" not in found
    assert "or xxx" in found
    assert "\n" not in found
    assert len(found) <= own_rules.SHOWN + 4
    assert own_rules.judged(rule(excludes="x"), documents(*["x"] * 7))[-2:] == ["…", "…"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"column": "txt", "present": True}, "documents have no column `txt`; did you mean `text`?"),
        ({"column": "inputs.text", "present": True}, "documents have no column `inputs.text`"),
        ({"present": True, "where": {"sauce": "a"}}, "where: documents have no column `sauce`; did you mean `source`?"),
        ({}, "it needs one check of present, .*; it has none"),
        ({"present": True, "matches": "a"}, "it has present, matches"),
        ({"matches": "(a"}, r"\(a is no pattern of RE2: missing \): \(a"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_its_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSettings, match=rf"params.yaml: validate.rules: `x`: .*{message}"):
        own_rules.check([rule(**changes)])


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(BadSettings, match="two are named `x`"):
        own_rules.check([rule(present=True), rule(min_characters=1)])


def test_a_pattern_takes_linear_time() -> None:
    assert passed(own_rules.judged(rule(excludes="(a|a)*b$"), documents("a" * 1_000_000))) == [True]
