"""The stage `prepare`."""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.data.settings import DocumentLimits, ExampleLimits, Prepare, Shares
from components.data.tables.records import SCHEMAS, dump
from components.data.tables.shards import ShardWriter
from components.data.tables.split import SPLITS
from components.stages.prepare import prepare
from tests.support.shared import on_cores

SETTINGS = Prepare(
    documents=DocumentLimits(
        min_characters=10, max_characters=2000, max_symbols=0.5, max_unreadable=0.01, max_repeated_lines=0.3
    ),
    examples=ExampleLimits(max_characters=1000),
    splits=Shares(unit="document", validation=0.2, test=0.3),
)
FRENCH = "Le gouvernement a annoncé hier que les nouvelles mesures seront présentées au parlement avant l'été. " * 3

Row = dict[str, Any]


def document(key: str, text: str, language: str | None = "en") -> Row:
    return {"id": key, "source": "s", "text": text, "language": language, "license": "MIT", "origin": f"file:#{key}"}


def example(key: str, text: str, target: str = "positive", task: str = "sentiment_en") -> Row:
    return {
        "id": key,
        "source": "s",
        "task": task,
        "inputs": dump({"text": text}),
        "target": target,
        "license": "MIT",
    }


def run(folder: Path, table: str, rows: list[Row]) -> tuple[dict[str, list[Row]], list[Row]]:
    """The rows of each split, and the rejected ones."""
    with ShardWriter(folder / "raw" / table, SCHEMAS[table]) as writer:
        for row in rows:
            writer.write(dict(row))
    counts = prepare(table, folder / "raw", folder / "prepared", folder / "rejected", SETTINGS)
    kept = {split: pq.read_table(folder / "prepared" / table / split).to_pylist() for split in SPLITS}
    rejected = pq.read_table(folder / "rejected" / table).to_pylist()
    assert sum(counts.values()) == len(rows)
    assert sum(map(len, kept.values())) + len(rejected) == len(rows)
    return kept, rejected


def all_rows(kept: dict[str, list[Row]]) -> list[Row]:
    return sorted((row for rows in kept.values() for row in rows), key=lambda row: row["id"])


def test_documents_are_cleaned_and_dropped_with_their_reasons(folder: Path) -> None:
    kept, rejected = run(
        folder,
        "documents",
        [
            document("a", "Ask  jane@example.org\r\nor call (202) 265-2800."),
            document("b", "short"),
            document("c", "Ask  jane@example.org\nor call (202) 265-2800.\u200b "),
            document("d", FRENCH),
            document("e", "这是一篇没有注明语言的文章。", None),
            document("f", "\ufffd" * 20),
        ],
    )
    assert [(row["id"], row["text"], row["language"]) for row in all_rows(kept)] == [
        ("a", "Ask  <email>\nor call <phone>.", "en"),
        ("e", "这是一篇没有注明语言的文章。", "zh"),
    ]
    assert {row["id"]: row["reason"] for row in rejected} == {
        "b": "too short",
        "c": "duplicate",
        "d": "not in the declared language",
        "f": "too many symbols",
    }
    assert all(row["origin"] and row["license"] == "MIT" for row in [*all_rows(kept), *rejected])


def test_examples_are_cleaned_and_dropped_with_their_reasons(folder: Path) -> None:
    kept, rejected = run(
        folder,
        "examples",
        [
            example("a", "Fine\u00a0film, write to me@example.org", "positive "),
            example("b", "Fine film, write to you@example.org"),
            example("c", "\u200b"),
            example("d", "Good.", " "),
            example("e", "Good."),
            example("f", "Good.", task="topic"),
            example("g", "long " * 300),
        ],
    )
    rows = all_rows(kept)
    assert [(row["id"], json.loads(row["inputs"])["text"], row["target"]) for row in rows] == [
        ("a", "Fine film, write to <email>", "positive"),
        ("e", "Good.", "positive"),
        ("f", "Good.", "positive"),
    ]
    assert Counter(row["reason"] for row in rejected) == {"duplicate": 1, "empty": 2, "too long": 1}


def test_a_document_and_the_example_of_its_text_share_a_split(folder: Path) -> None:
    texts = [f"The film number {number} was made in\u00a0Paris. " for number in range(300)]
    documents, _ = run(folder, "documents", [document(str(n), text) for n, text in enumerate(texts)])
    examples, _ = run(folder, "examples", [example(str(n), text) for n, text in enumerate(texts)])
    for split in SPLITS:
        assert documents[split]
        assert {row["id"] for row in documents[split]} == {row["id"] for row in examples[split]}


def test_a_document_keeps_its_split_when_others_arrive(folder: Path) -> None:
    few = [document(f"{n:04}", f"The film number {n} is long.") for n in range(0, 100, 2)]
    more = [document(f"{n:04}", f"The film number {n} is long.") for n in range(100)]
    before, _ = run(folder / "few", "documents", few)
    after, _ = run(folder / "more", "documents", more)
    for split in SPLITS:
        assert {row["id"] for row in before[split]} <= {row["id"] for row in after[split]}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process cannot be kept to a core")
def test_bytes_do_not_depend_on_the_number_of_processors(folder: Path) -> None:
    rows = [document(str(number), f"The film number {number % 3000} is long.") for number in range(6000)]
    with on_cores(range(os.cpu_count() or 1)):
        run(folder / "2", "documents", rows)
    with on_cores({0}):
        _, rejected = run(folder / "1", "documents", rows)
    assert [row["id"] for row in rejected] == [str(number) for number in range(3000, 6000)]
    files = sorted(path.relative_to(folder / "1") for path in (folder / "1").rglob("*.parquet"))
    assert len(files) == 5
    for path in files:
        assert (folder / "1" / path).read_bytes() == (folder / "2" / path).read_bytes()
