"""The stage `prepare`."""

import json
import os
import random
import shutil
import sys
import textwrap
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import hypothesis
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from components.core import id_index
from components.core.errors import BadData
from components.core.kept import KeptFiles
from components.data import takedown
from components.data.duplicates import benchmarks
from components.data.settings import BoilerplateLimits, Prepare, QualityRules
from components.data.tables.parallel import Batches, ordered
from components.data.tables.records import SCHEMAS, SPLITS, dump, dump_turns, identity, split_of
from components.data.tables.shards import ShardWriter, emptied
from components.stages.prepare import prepare
from tests.components.support.preparing import SETTINGS
from tests.support.shared import on_cores

FRENCH = "Le gouvernement a annoncé hier que les nouvelles mesures seront présentées au parlement avant l'été. " * 3
DAY = date(2026, 11, 30)

Row = dict[str, Any]
Stored = tuple[dict[str, list[Row]], list[Row]]


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


def run_both(folder: Path, tables: dict[str, list[Row]], settings: Prepare = SETTINGS) -> dict[str, Stored]:
    """By table the rows of each split, and the rejected ones."""
    for name in ("raw", "prepared", "rejected"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for table, schema in SCHEMAS.items():
        with ShardWriter(folder / "raw" / table, schema) as writer:
            for row in tables.get(table, []):
                writer.write(dict(row))
    with emptied(folder / "scratch") as scratch:
        outcome = prepare(
            folder / "raw",
            folder / "prepared",
            folder / "rejected",
            settings,
            scratch,
            Batches(KeptFiles(folder / "kept"), ordered),
        )
    counts = outcome.rows
    (folder / "changed.json").write_text(json.dumps(outcome.changed))
    stored = {}
    for table in SCHEMAS:
        kept = {split: pq.read_table(folder / "prepared" / table / split).to_pylist() for split in SPLITS}
        rejected = pq.read_table(folder / "rejected" / table).to_pylist()
        assert sum(map(len, kept.values())) + len(rejected) == sum(counts[table].values())
        assert sum(counts[table].values()) >= len(tables.get(table, []))
        stored[table] = kept, rejected
    return stored


def run(folder: Path, table: str, rows: list[Row], settings: Prepare = SETTINGS) -> Stored:
    """The rows of each split of one table, and the rejected ones."""
    return run_both(folder, {table: rows}, settings)[table]


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
        ("e", "这是一篇没有注明语言的文章。", "zh-Hans"),
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


BOOK = "\n\n".join(f"Paragraph {number} of a long book. It goes on for a while." for number in range(200))


def test_a_long_document_is_divided_and_stays_in_one_split(folder: Path) -> None:
    name = identity("books", "book.txt:1")
    kept, rejected = run(folder, "documents", [document(name, BOOK)])
    parts = all_rows(kept)
    assert rejected == []
    assert "".join(part["text"] for part in parts) == BOOK
    assert [part["id"] for part in parts] == [id_index.part(name, number) for number in range(1, len(parts) + 1)]
    assert parts[1]["origin"] == f"file:#{name}, part 2 of {len(parts)}"
    assert all(part["text"].endswith("\n\n") for part in parts[:-1])
    (split,) = [split for split in SPLITS if kept[split]]
    assert split == split_of(BOOK, SETTINGS.splits)


def test_a_few_books_are_split_by_their_parts_where_the_settings_say_so(folder: Path) -> None:
    documents = replace(SETTINGS.documents, max_characters=300)
    settings = replace(SETTINGS, documents=documents, splits=replace(SETTINGS.splits, unit="part"))
    kept, _ = run(folder, "documents", [document(identity("books", "book.txt:1"), BOOK)], settings)
    assert all(kept[split] for split in SPLITS)
    assert "".join(part["text"] for part in all_rows(kept)) == BOOK


def test_a_part_that_repeats_a_text_is_a_duplicate(folder: Path) -> None:
    first, second = (identity("books", f"{number}.txt:1") for number in range(2))
    kept, rejected = run(folder, "documents", [document(first, BOOK), document(second, BOOK)])
    assert len(rejected) == len(all_rows(kept))
    assert {row["reason"] for row in rejected} == {"duplicate"}


def test_nothing_left_is_told(folder: Path) -> None:
    with pytest.raises(BadData, match="documents: no row is left: 2 too short; change"):
        run(folder, "documents", [document("a", "short"), document("b", "tiny")])


def conversation(key: str, *said: str, rejected: str | None = None) -> Row:
    """Turns that user and assistant take, of which the last is the target."""
    turns = [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(said)]
    inputs = {"messages": dump_turns(turns[:-1])} | ({"rejected": rejected} if rejected else {})
    return example(key, "", said[-1], "chat") | {"inputs": dump(inputs)}


def test_conversations_are_cleaned_turn_by_turn(folder: Path) -> None:
    kept, rejected = run(
        folder,
        "examples",
        [
            conversation(
                "a",
                'Write\u00a0to "jane@example.org"\nplease.',
                "Done.",
                "<|im_end|> user",
                "A\u200b pleasure.",
            ),
            conversation("b", "\u200b", "Hello."),
            conversation("c", "long " * 300, "Hello."),
            conversation("d", "Hi.", "Hello.", rejected="Call (202) 265-2800."),
        ],
    )
    rows = {row["id"]: row for row in all_rows(kept)}
    assert json.loads(json.loads(rows["a"]["inputs"])["messages"]) == [
        {"role": "user", "content": 'Write to "<email>"\nplease.'},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "<|im_end|> user"},
    ]
    assert rows["a"]["target"] == "A pleasure."
    assert json.loads(rows["d"]["inputs"])["rejected"] == "Call <phone>."
    assert {row["id"]: row["reason"] for row in rejected} == {"b": "empty", "c": "too long"}


def test_conversations_with_one_beginning_share_a_split(folder: Path) -> None:
    rows = [
        conversation(f"{number}-{turns}", f"Question {number}?", *["Yes.", "And now?"] * turns, "No.")
        for number in range(60)
        for turns in range(3)
    ]
    kept, _ = run(folder, "examples", rows)
    for split in SPLITS:
        beginnings = {row["id"].partition("-")[0] for row in kept[split]}
        assert len(kept[split]) == 3 * len(beginnings) > 0


def test_rows_with_one_instruction_are_spread_over_the_splits(folder: Path) -> None:
    inputs = [{"instruction": "Name the number.", "input": f"{number}"} for number in range(60)]
    rows = [example(str(number), "") | {"inputs": dump(given)} for number, given in enumerate(inputs)]
    rows.append(example("alone", "") | {"inputs": dump({"instruction": "Sing.", "input": ""})})
    kept, rejected = run(folder, "examples", rows)
    assert rejected == []
    assert all(kept[split] for split in SPLITS)


WORDS = """
the river runs past an old stone mill where farmers once brought their grain in autumn and children still swim when
summer comes back to this quiet valley between green hills under a wide sky while trains carry people from every small
town towards one large city whose towers stand beside harbours full of ships that bring fruit paper glass iron wood
salt coffee books letters news songs stories questions answers promises memories of winters long ago before anybody had
seen such bright windows or heard so many voices speak about work weather love money war peace tomorrow
"""


def text_of(seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS.split(), k=60))


def edit(text: str, place: int) -> str:
    return " ".join("edited" if number == place else word for number, word in enumerate(text.split()))


def test_a_near_copy_is_rejected_with_what_is_kept_and_how_similar_it_is(folder: Path) -> None:
    text = text_of(1)
    copies = [edit(text, 30), textwrap.fill(text.title(), 40) + ".", text.replace(" ", "  ")]
    rows = [document("a", text), *(document(f"b{number}", copy) for number, copy in enumerate(copies))]
    kept, rejected = run(folder, "documents", rows)
    assert [row["id"] for row in all_rows(kept)] == ["a"]
    assert [(row["id"], row["reason"], row["same_as"]) for row in rejected] == [
        ("b0", "near duplicate", "a"),
        ("b1", "near duplicate", "a"),
        ("b2", "duplicate", "a"),
    ]
    assert [row["similarity"] for row in rejected] == [pytest.approx(57 / 61, abs=0.02), 1.0, 1.0]


def test_without_duplicates_only_equal_texts_are_copies(folder: Path) -> None:
    text = text_of(1)
    rows = [document("a", text), document("b", edit(text, 30)), document("c", text.upper())]
    kept, rejected = run(folder, "documents", rows, replace(SETTINGS, duplicates=None))
    assert [row["id"] for row in all_rows(kept)] == ["a", "b"]
    assert [row["id"] for row in rejected] == ["c"]


def test_examples_of_near_texts_are_kept_in_one_split(folder: Path) -> None:
    texts = [text_of(seed) for seed in range(40)]
    rows = [
        example(f"{seed:02}-{copy}", edit(text, 5 * copy) if copy else text, ["positive", "negative"][copy % 2])
        for seed, text in enumerate(texts)
        for copy in range(3)
    ]
    documents = [document(f"d{seed:02}", textwrap.fill(text, 30)) for seed, text in enumerate(texts)]
    stored = run_both(folder, {"examples": rows, "documents": documents})
    kept, rejected = stored["examples"]
    assert rejected == []
    for split in SPLITS:
        clusters = {row["id"][:2] for row in kept[split]}
        assert len(kept[split]) == 3 * len(clusters) > 0
        assert {row["id"][1:] for row in stored["documents"][0][split]} == clusters


def test_training_rows_with_a_text_of_a_test_split_leave(folder: Path) -> None:
    texts = [text_of(seed) for seed in range(40)]
    rows = [example(f"{seed:02}", text) for seed, text in enumerate(texts)]
    around = [text_of(1000 + seed) for seed in range(40)]
    documents = [
        document(f"d{seed:02}", f"A header\n\n{other} {textwrap.fill(text.upper(), 30)} {other}")
        for seed, (text, other) in enumerate(zip(texts, around, strict=True))
    ]
    stored = run_both(folder, {"examples": rows, "documents": documents})
    tested = {row["id"] for row in stored["examples"][0]["test"]}
    kept, rejected = stored["documents"]
    assert tested
    assert {row["same_as"] for row in rejected} == tested - {row["id"][1:] for row in kept["test"]}
    assert {row["reason"] for row in rejected} == {"in the test split of sentiment_en"}
    off = run_both(folder / "off", {"examples": rows, "documents": documents}, replace(SETTINGS, max_overlap=None))
    assert off["documents"][1] == []


def test_training_rows_with_a_text_of_a_benchmark_leave(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    benchmarks.FOLDER.mkdir(parents=True)
    texts = [text_of(seed) for seed in range(20)]
    (benchmarks.FOLDER / "quiz.jsonl").write_text("".join(json.dumps({"q": text}) + "\n" for text in texts[:10]))
    rows = [document(f"{seed:02}", f"{text_of(1000 + seed)}\n{text}") for seed, text in enumerate(texts)]
    wanted = replace(SETTINGS, benchmarks=("data/benchmarks/quiz.jsonl",))
    kept, rejected = run(folder, "documents", rows, wanted)
    assert {row["reason"] for row in rejected} == {"in benchmark quiz.jsonl"}
    left = {row["id"]: row["same_as"] for row in rejected}
    tested = {row["id"] for row in kept["test"]}
    assert left == {f"{n:02}": f"quiz.jsonl:{n + 1}" for n in range(10) if f"{n:02}" not in tested}


def test_rules_drop_rows_with_their_value_and_lines_from_rows(folder: Path) -> None:
    text = "The farmers sold their grain to a merchant. He came with carts and left before noon."
    rows = [
        document("a", f"{text}\nPlease enable JavaScript."),
        document("b", f"{text} Lorem ipsum dolor, lorem ipsum."),
        document("c", "Lorem ipsum\nPlease enable JavaScript."),
        document("d", text.replace("farmers", "bakers") + " Lorem ipsum.", "de"),
        document("e", "7 7 7 7 7 7 7 7 7 7", None),
        document("f", "Please enable JavaScript.\nPlease use JavaScript."),
    ]
    english = QualityRules(c4_drop_javascript_lines=True, c4_max_lorem_ipsum=0)
    settings = replace(SETTINGS, quality={"en": english}, documents=replace(SETTINGS.documents, min_confidence=0.65))
    kept, rejected = run(folder, "documents", rows, settings)
    assert {row["id"]: row["text"] for row in all_rows(kept)} == {"a": text, "d": rows[3]["text"]}
    dropped = {row["id"]: (row["reason"], row["value"]) for row in rejected}
    assert dropped["b"] == ("c4_max_lorem_ipsum", 2.0)
    assert dropped["c"] == ("c4_max_lorem_ipsum", 1.0)
    assert dropped["e"][0] == "language not sure"
    assert dropped["e"][1] < 0.65
    assert dropped["f"] == ("too short", 0.0)
    assert {row["id"]: row["text"] for row in rejected}["f"] == rows[5]["text"]  # what it was, not what was left
    changed = json.loads((folder / "changed.json").read_text())
    assert changed["documents"] == {"s": {"c4_drop_javascript_lines": 1}}


BOILERPLATE = replace(SETTINGS, boilerplate=BoilerplateLimits(min_documents=5, min_characters=10))


def with_footer(number: int) -> Row:
    footer = "All rights  reserved.\nHome" if number % 2 else "\n\nAll rights reserved. \nHome"
    return document(f"{number:02}", f"{text_of(number)}\n{footer}\n{text_of(100 + number % 6)}")


@hypothesis.settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(12)))
def test_lines_of_many_documents_leave_whatever_the_order(folder: Path, order: list[int]) -> None:
    rows = [with_footer(number) for number in order]
    few = [document(f"x{n}", f"{text_of(50 + n)}\nAll rights reserved.") | {"source": "t"} for n in range(4)]
    kept, rejected = run(folder, "documents", rows + few, BOILERPLATE)
    assert rejected == []
    for row in all_rows(kept):
        assert ("All rights" in row["text"]) == (row["source"] == "t")
        assert ("Home" in row["text"]) == (row["source"] == "s")
        assert text_of(int(row["id"].strip("x")) + 50 * (row["source"] == "t")) in row["text"]
    assert json.loads((folder / "changed.json").read_text())["documents"]["s"] == {"boilerplate lines": 12}
    again, dropped = run(folder / "again", "documents", all_rows(kept), BOILERPLATE)
    assert (all_rows(again), dropped) == (all_rows(kept), [])


@hypothesis.settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(24)))
def test_the_order_of_rows_changes_nothing_and_each_is_kept_or_rejected_once(folder: Path, order: list[int]) -> None:
    rows = [
        document(f"{number:02}", edit(text_of(number % 6), number % 7) if number % 4 else text_of(number % 6))
        for number in range(24)
    ]
    outcomes = []
    for name, given_rows in (("sorted", rows), ("permuted", [rows[number] for number in order])):
        kept, rejected = run(folder / name, "documents", given_rows)
        ids = [row["id"] for row in [*all_rows(kept), *rejected]]
        assert sorted(ids) == [row["id"] for row in rows]
        outcomes.append(
            (
                {split: sorted(row["id"] for row in kept[split]) for split in SPLITS},
                sorted((row["id"], row["same_as"], row["similarity"]) for row in rejected),
            )
        )
    assert outcomes[0] == outcomes[1]


def test_preparing_what_was_prepared_drops_nothing(folder: Path) -> None:
    rows = [document(f"{number:02}", edit(text_of(number % 6), number)) for number in range(40)]
    kept, rejected = run(folder / "once", "documents", rows)
    again, dropped = run(folder / "twice", "documents", all_rows(kept))
    assert rejected
    assert dropped == []
    assert again == kept


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process cannot be kept to a core")
def test_bytes_do_not_depend_on_the_number_of_processors(folder: Path) -> None:
    rows = [document(f"{number:04}", f"The film number {number % 3000} is long.") for number in range(6000)]
    with on_cores(range(os.cpu_count() or 1)):
        run(folder / "2", "documents", rows)
    with on_cores({0}):
        _, rejected = run(folder / "1", "documents", rows)
    assert [row["id"] for row in rejected] == [f"{number:04}" for number in range(3000, 6000)]
    files = sorted(path.relative_to(folder / "1") for path in (folder / "1").rglob("*.parquet"))
    assert len(files) == 10
    for path in files:
        assert (folder / "1" / path).read_bytes() == (folder / "2" / path).read_bytes()


def test_what_is_taken_down_is_rejected_with_its_copies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    takedown.add([takedown.of_text("A text of Jane.", id="a" * 64, date=DAY, reason="asked")])
    letter = (
        "Jane saw how the ship of the year was being loaded with salt and timber and many letters at the old harbour."
    )
    takedown.add([takedown.of_text(letter, date=DAY, reason="asked")])
    kept, rejected = run(
        folder,
        "documents",
        [
            document("a" * 64, "A text of Jane."),
            document("b" * 64, "a text\nof jane"),
            document("c" * 64, "Others stay."),
            document("d" * 64, letter.replace("timber", "coal")),
        ],
    )
    assert [row["id"][0] for row in all_rows(kept)] == ["c"]
    assert {row["id"][0]: row["reason"] for row in rejected} == dict.fromkeys("abd", "takedown")
    _, rejected = run(folder, "examples", [example("b" * 64, "A text of Jane!"), example("d" * 64, "Good.")])
    assert [row["reason"] for row in rejected] == ["takedown"]


def test_what_was_masked_is_counted_by_source_and_kind(folder: Path) -> None:
    with ShardWriter(folder / "raw/documents", SCHEMAS["documents"]) as writer:
        writer.write(document("a", "Ask jane@example.org or joe@example.org, or call (202) 265-2800."))
        writer.write(document("b", "<email> was masked before."))
    with emptied(folder / "scratch") as scratch:
        outcome = prepare(
            folder / "raw",
            folder / "prepared",
            folder / "rejected",
            SETTINGS,
            scratch,
            Batches(KeptFiles(folder / "kept"), ordered),
        )
    assert outcome.masked == {"documents": {"s": {"email": 2, "phone": 1}}, "examples": {}}
