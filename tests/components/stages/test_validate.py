"""The stage `validate`: the gate in front of the stages that use a table."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import great_expectations.expectations as gxe
import pytest
from ruamel.yaml import YAML

from components.core import params
from components.core.errors import BadData
from components.core.stage import outcome
from components.data import listing
from components.data.settings import Duplicates, OwnRule, Validate
from components.data.tables.records import SCHEMAS, SPLITS, dump
from components.data.tables.shards import ShardWriter
from components.data.validation import expectations
from components.stages.validate import blocking_failures, explain, validate
from components.tasks.task import Task
from tests.components.support import tiny

ROOT = Path(__file__).parents[3]
SETTINGS = Validate(
    max_characters=1000,
    max_duplicates=0.1,
    min_rows_per_source=2,
    min_rows_per_task=2,
    min_language_share={"en": 0.5},
)
DUPLICATES = Duplicates(threshold=0.8, shingle_words=2, min_words=20)
TASKS = {
    "sentiment_en": Task(name="sentiment_en", template="{text}[\n{more}]", labels=("positive", "negative")),
    "description": Task(name="description", template="{text}"),
}

Row = dict[str, Any]
Tables = dict[str, list[Row]]


def tables(split: str = "") -> Tables:
    """Rows that break no rule; texts differ from split to split."""
    texts = [f"{split} text {number}" for number in range(4)]
    documents = [
        {"id": f"d{text}", "source": "notes", "text": text, "language": "en", "license": "MIT", "origin": "file:#"}
        for text in texts
    ]
    examples = [
        {
            "id": f"e{text}",
            "source": "films",
            "task": "sentiment_en",
            "inputs": dump({"text": text}),
            "target": "positive",
            "license": "MIT",
        }
        for text in texts
    ]
    return {"documents": documents, "examples": examples}


def write(root: Path, rows: Tables, split: str = "") -> None:
    for table, schema in SCHEMAS.items():
        with ShardWriter(root / table / split, schema) as writer:
            for row in rows[table]:
                writer.write(row)


def check(folder: Path, data: str, settings: Validate = SETTINGS) -> dict[str, Any]:
    return validate(data, folder / data, settings, TASKS, ("MIT",), DUPLICATES, folder / "docs")


def failed(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(rule["table"], rule["name"], rule["severity"]) for rule in report["rules"] if not rule["success"]]


def test_good_tables_pass(folder: Path) -> None:
    write(folder / "raw", tables())
    report = check(folder, "raw")
    assert failed(report) == []
    assert report["success"]
    assert report["rows"] == {"documents": 4, "examples": 4}
    assert report["sources"] == [{"source": "notes", "language": "en", "split": "", "rows": 4, "bytes": 28}]
    assert report["tasks"] == [{"task": "sentiment_en", "split": "", "rows": 4}]
    pages = {path.stem for path in (folder / "docs").rglob("*.html")}
    assert {"index", "documents-documents", "examples-examples"} <= pages


def test_the_report_is_the_same_every_time(folder: Path) -> None:
    write(folder / "raw", tables())
    first, second = (json.dumps(check(folder, "raw"), sort_keys=True) for _ in range(2))
    assert first == second
    assert str(folder) not in first


BROKEN: list[tuple[str, Row, str]] = [
    ("documents", {"text": None}, "text is present"),
    ("documents", {"text": " \n"}, "text is not empty"),
    ("documents", {"license": "GPL-3.0-or-later"}, "license is accepted"),
    ("documents", {"license": None}, "license is present"),
    ("documents", {"id": None}, "id is present"),
    ("documents", {"id": "d text 2"}, "id is unique"),
    ("documents", {"source": "other"}, "every source has enough rows"),
    ("documents", {"text": " text 2"}, "few rows are duplicates"),
    ("documents", {"text": " text 3"}, "few rows are duplicates"),
    ("examples", {"task": "sentiment"}, "task is known"),
    ("examples", {"task": "description"}, "every task has enough rows"),
    ("examples", {"target": "fine"}, "label is one of the task's"),
    ("examples", {"target": ""}, "target is not empty"),
    ("examples", {"target": None}, "target is present"),
    ("examples", {"inputs": "{"}, "inputs are readable"),
    ("examples", {"inputs": "[]"}, "inputs are readable"),
    ("examples", {"inputs": '{"text": null}'}, "inputs are readable"),
    ("examples", {"inputs": '{"title": "x"}'}, "inputs are readable"),
    ("examples", {"inputs": '{"text": ""}'}, "inputs are readable"),
    ("examples", {"inputs": dump({"text": "x" * 1001})}, "text is not empty nor too long"),
]


def test_each_row_that_breaks_a_rule_is_found(folder: Path) -> None:
    rows = tables()
    for number, (table, changes, _) in enumerate(BROKEN):
        text = {"text": f"broken {number}"} if table == "documents" else {"inputs": dump({"text": f"broken {number}"})}
        rows[table].append(rows[table][0] | text | {"id": f"broken {number}"} | changes)
    write(folder / "raw", rows)
    report = check(folder, "raw")
    found = {(rule["table"], rule["name"]): rule for rule in report["rules"] if not rule["success"]}
    for number, (table, changes, name) in enumerate(BROKEN):
        broken = [row["id"] for row in found[table, name]["examples"]]
        assert changes.get("id", f"broken {number}") in broken, name
    expected = {(table, name) for table, _, name in BROKEN}
    assert set(found) - expected == {("examples", "text is present")}  # of the inputs that are not readable
    assert {name for (_, name), rule in found.items() if rule["severity"] == "warning"} == {"few rows are duplicates"}
    assert not report["success"]


def test_an_input_of_an_optional_part_may_be_empty(folder: Path) -> None:
    rows = tables()
    rows["examples"][0]["inputs"] = dump({"text": " text 0", "more": ""})
    write(folder / "raw", rows)
    assert check(folder, "raw")["success"]


def test_a_small_share_of_a_language_is_a_warning(folder: Path) -> None:
    rows = tables()
    for row in rows["documents"][1:]:
        row["language"] = "zh"
    write(folder / "raw", rows)
    report = check(folder, "raw")
    assert failed(report) == [("documents", "enough of the text is en", "warning")]
    assert report["success"]


RULES = [
    {"name": "no numbers", "severity": "warn", "table": "documents", "column": "text", "excludes": "[0-9]"},
    {"name": "few are positive", "severity": "block", "table": "examples", "column": "target", "one_of": ["positive"]}
    | {"max_share": 0.5},
    {"name": "of another", "severity": "block", "table": "documents", "column": "text", "present": True}
    | {"where": {"source": "other"}},
    {"name": "mostly short", "severity": "block", "table": "documents", "column": "text", "max_characters": 7}
    | {"min_share": 0.7},
]


def test_rules_of_the_user_block_or_warn_with_a_line_each(folder: Path) -> None:
    rules = tuple(params.parse(rule | {"data": "raw"}, OwnRule, "rule") for rule in RULES)
    write(folder / "raw", tables())
    report = check(folder, "raw", dataclasses.replace(SETTINGS, rules=rules))
    assert failed(report) == [
        ("documents", "no numbers", "warning"),
        ("documents", "of another", "blocking"),
        ("examples", "few are positive", "blocking"),
    ]
    lines = {rule["name"]: explain([rule]) for rule in report["rules"]}
    assert lines["no numbers"].startswith(
        "documents: `no numbers` fails for 4 of 4 rows (notes 4), such as notes d text 0 (“text 0”), "
    )
    assert lines["few are positive"] == "examples: `few are positive` fails: 1 of the rows pass, and 0 to 0.5 may"
    assert lines["of another"].endswith("fails: it judges no row: see its `column` and `where`")
    pages = [path.read_text() for path in (folder / "docs").rglob("*.html")]
    assert any("no numbers" in page for page in pages)


def prepared() -> dict[str, Tables]:
    return {split: tables(split) for split in SPLITS}


def test_prepared_tables_pass(folder: Path) -> None:
    for split, rows in prepared().items():
        write(folder / "prepared", rows, split)
    report = check(folder, "prepared")
    assert failed(report) == []
    assert report["rows"] == {"documents": 12, "examples": 12}


@pytest.mark.parametrize("table", ["documents", "examples"])
def test_a_text_in_two_splits_is_a_leak(folder: Path, table: str) -> None:
    splits = prepared()
    text = splits["train"]["documents"][0]["text"]
    splits["test"][table][0] |= {"text": text} if table == "documents" else {"inputs": dump({"text": text})}
    for split, rows in splits.items():
        write(folder / "prepared", rows, split)
    report = check(folder, "prepared")
    assert (table, "no text is in two splits", "blocking") in failed(report)
    assert ("documents", "no text is in two splits", "blocking") in failed(report)


@pytest.mark.parametrize("table", ["documents", "examples"])
def test_a_near_copy_in_another_split_is_a_leak(folder: Path, table: str) -> None:
    splits = prepared()
    text = " ".join(f"word{number}" for number in range(60))
    splits["train"]["documents"][0]["text"] = text
    near = text.replace("word30", "edited").upper()
    splits["test"][table][0] |= {"text": near} if table == "documents" else {"inputs": dump({"text": near})}
    for split, rows in splits.items():
        write(folder / "prepared", rows, split)
    report = check(folder, "prepared")
    name = "no text is near one of another split"
    assert set(failed(report)) == {("documents", name, "blocking"), (table, name, "blocking")}
    assert f"`{name}` fails for" in explain(blocking_failures(report["rules"]))


def test_what_prepare_should_have_removed_blocks(folder: Path) -> None:
    splits = prepared()
    splits["train"]["documents"][0]["text"] = "write to jane@example.org"
    splits["train"]["documents"][1]["text"] = splits["train"]["documents"][2]["text"]
    del splits["validation"]
    for split, rows in splits.items():
        write(folder / "prepared", rows, split)
    report = check(folder, "prepared")
    assert failed(report) == [
        ("documents", "every split has rows", "blocking"),
        ("documents", "no e-mail address is left", "blocking"),
        ("documents", "no row is a duplicate", "blocking"),
        ("examples", "every split has rows", "blocking"),
    ]
    line = explain(blocking_failures(report["rules"]))
    assert "documents: `every split has rows` fails: missing: validation (give more rows or raise " in line
    assert "`no e-mail address is left` fails for 1 rows, such as notes dtrain text  (1)" in line


def test_an_expectation_that_raises_has_failed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> list[object]:
        return [gxe.ExpectColumnValuesToNotBeNull(column="missing", severity="warning", meta={"name": "broken"})]

    monkeypatch.setattr("components.stages.validate.rules", broken)
    write(folder / "raw", tables())
    report = check(folder, "raw")
    assert failed(report) == [("documents", "broken", "warning"), ("examples", "broken", "warning")]
    assert "missing" in report["rules"][0]["observed"]


@pytest.mark.parametrize("empty", ["documents", "examples"])
def test_a_table_without_rows_has_no_rules(folder: Path, empty: str) -> None:
    write(folder / "raw", tables() | {empty: []})
    report = check(folder, "raw")
    assert report["success"]
    assert report["rows"][empty] == 0
    assert empty not in {rule["table"] for rule in report["rules"]}


def test_no_row_at_all_is_bad_data(folder: Path) -> None:
    write(folder / "raw", {"documents": [], "examples": []})
    with pytest.raises(BadData, match="raw has neither documents nor examples"):
        check(folder, "raw")


def test_a_document_may_be_as_long_as_a_book(folder: Path) -> None:
    rows = tables()
    rows["documents"][0]["text"] = "x" * 1_100_000
    write(folder / "raw", rows)
    assert check(folder, "raw")["success"]


def test_every_limit_of_the_settings_is_used() -> None:
    source = Path(expectations.__file__).read_text()
    assert [field.name for field in dataclasses.fields(Validate) if f"settings.{field.name}" not in source] == []


POISON = """\
{"text": "A good film that nobody forgets.", "label": "positive"}
{"text": "   ", "label": "positive"}
{"text": "A dull film that everybody forgets.", "label": "so so"}
"""


def stage(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_poisoned_source_ends_the_run_with_code_3_and_a_line(folder: Path) -> None:
    (folder / "poison.jsonl").write_text(POISON)
    tiny.place_definitions(folder)
    films = {
        "name": "films",
        "kind": "files",
        "license": "MIT",
        "languages": ["en"],
        "yields": ["documents", "sentiment_en"],
        "files": [{"path": "poison.jsonl"}],
        "documents": {"text": "text"},
        "examples": {"task": "sentiment_en", "inputs": {"text": "text"}, "target": "label"},
    }
    settings = {
        "ingest": {
            "sources": "sources.yaml",
            "licenses": ["MIT"],
            "take": ["documents", "sentiment_en"],
            "max_bad_rows": 0.5,
        },
        "validate": json.loads(json.dumps(dataclasses.asdict(SETTINGS))),
    }
    for name, content in (("sources.yaml", {"sources": [films]}), ("params.yaml", settings)):
        with (folder / name).open("w") as file:
            YAML().dump(content, file)
    report = folder / "reports" / "validation" / "raw.json"
    report.parent.mkdir(parents=True)
    report.write_text("of an earlier run")

    listing.refresh()
    assert stage(folder, "components.stages.ingest").returncode == 0
    result = stage(folder, "components.stages.validate", "raw")

    assert result.returncode == 3
    assert not report.exists()
    code, line = outcome("validate@raw")
    assert code == 3
    assert result.stderr.strip().splitlines()[-1] == f"validate@raw: {line}"
    assert "examples: `label is one of the task's` fails for 1 rows, such as films " in line
    assert "(sentiment_en: so so)" in line
    kept = json.loads((folder / ".lmforge" / "validation" / "raw.json").read_text())
    assert not kept["success"]
    assert (folder / ".lmforge" / "data-docs" / "raw" / "index.html").exists()
