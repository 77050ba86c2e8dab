"""Sources of the kind `files`."""

import bz2
import gzip
import json
import lzma
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.errors import BadData, BadSettings
from components.core.files import sha256
from components.data.tables.records import Document, Example
from tests.components.data.support.files import read, rejected, source, texts


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


@pytest.mark.parametrize(
    ("ending", "pack"),
    [("", bytes), (".gz", gzip.compress), (".zst", zstd), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "one\r\ntwo\n", ["one\ntwo\n"]),
        ("a.jsonl", '{"text": "一"}\n\n{"text": "two"}\n{"text": "three"}', ["一", "two", "three"]),
        ("a.csv", 'text,more\n"two\nlines",1\nthree,2\n', ["two\nlines", "three"]),
        ("a.tsv", 'text\tmore\n"one\t1\ntwo, 2\t2\n', ['"one', "two, 2"]),
        ("a.json", '[{"text": "一"},\n {"text": "two"}]', ["一", "two"]),
    ],
)
def test_texts_come_out_of_every_format_and_compression(
    folder: Path, name: str, content: str, expected: list[str], ending: str, pack: type[bytes]
) -> None:
    path = folder / (name + ending)
    path.write_bytes(pack(content.encode()))
    assert texts(path) == expected


def test_a_long_text_fits_into_a_csv_field(folder: Path) -> None:
    (folder / "a.csv").write_text(f"text\n{'long ' * 50_000}\n")
    assert texts("a.csv") == ["long " * 50_000]


def test_parquet_is_read(folder: Path) -> None:
    pq.write_table(pa.table({"text": ["one", "two"], "other": [1, 2]}), folder / "a.parquet")
    assert texts("a.parquet") == ["one", "two"]


def test_columns_are_named_where_a_file_has_no_header(folder: Path) -> None:
    (folder / "a.csv").write_text("ham,one\nspam,two\n")
    columns = {"task": "spam", "inputs": {"text": "sms"}, "target": "label"}
    made = source("a.csv", columns=["label", "sms"], documents=None, examples=columns)
    assert [record.key for record in read(made)] == ["a.csv:1", "a.csv:2"]
    assert read(made)[1] == Example("a.csv:2", "spam", {"text": "two"}, "spam")


@pytest.mark.parametrize(
    "content",
    [
        "-DOCSTART- -X- O\n\nAnn NNP B-PER\nleft VBD O\n\nIt PRP O",
        "Ann\tNNP\tB-PER\nleft\tVBD\tO\n\n\nIt\tPRP\tO\n\n",
    ],
)
@pytest.mark.parametrize(("names", "tokens", "tags"), [(["token", "pos", "tag"], "token", "tag"), (None, "1", "3")])
def test_a_sentence_of_conll_is_a_row(
    folder: Path, content: str, names: list[str] | None, tokens: str, tags: str
) -> None:
    (folder / "a.conll").write_text(content)
    columns = {"task": "ner", "tokens": tokens, "tags": tags}
    first, second = read(source("a.conll", columns=names, documents=None, tags=columns))
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert (first.inputs["text"], first.target, second.target) == ("Ann left", "PER: Ann", "-")


def test_names_of_rows_do_not_depend_on_where_the_folder_lies(folder: Path) -> None:
    (folder / "corpus" / "more").mkdir(parents=True)
    (folder / "corpus" / "b.txt").write_text("b")
    (folder / "corpus" / "more" / "a.txt").write_text("a")
    relative = read(source("corpus/**/*.txt"))
    assert relative == read(source(folder / "corpus" / "**" / "*.txt"))
    assert [record.key for record in relative] == ["b.txt:1", "more/a.txt:1"]


def test_examples_are_made_of_named_columns(folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"body": "fine", "stars": 1, "lang": "en"}\n')
    columns = {"task": "sentiment_en", "inputs": {"text": "body"}, "target": "stars", "labels": {"1": "positive"}}
    made = source("a.jsonl", documents={"text": "body", "language": "lang"}, examples=columns)
    assert read(made) == [
        Document("a.jsonl:1", "fine", "en"),
        Example("a.jsonl:1", "sentiment_en", {"text": "fine"}, "positive"),
    ]


def test_a_pin_is_checked(folder: Path) -> None:
    (folder / "a.txt").write_text("one")
    assert len(read(source("a.txt", sha256(folder / "a.txt")))) == 1
    with pytest.raises(BadData, match=r"`notes`: a.txt has the sha256 .*, pinned is 0000"):
        source("a.txt", "0" * 64).records({})


@pytest.mark.parametrize(
    ("path", "changes", "line"),
    [
        ("none/*.txt", {}, "`notes`: there is no file none/\\*.txt"),
        ("a.doc", {}, "a.doc: files with this ending are not read; known: txt"),
        ("a.txt", {"documents": None}, "name the columns under"),
        (
            "a.txt",
            {"examples": {"task": "topic", "inputs": {"text": "text"}, "optional": ["title"], "target": "text"}},
            "examples.optional names 'title', which is none of the inputs",
        ),
    ],
)
def test_settings_that_cannot_work_are_told(folder: Path, path: str, changes: dict[str, object], line: str) -> None:
    for name in ("a.doc", "a.txt"):
        (folder / name).write_text("one")
    with pytest.raises(BadSettings, match=line):
        read(source(path, **changes))


def test_a_label_without_a_name_is_told(folder: Path) -> None:
    (folder / "a.jsonl").write_text(json.dumps({"text": "so so", "stars": 3}))
    columns = {"task": "sentiment_en", "inputs": {"text": "text"}, "target": "stars", "labels": {"1": "negative"}}
    (told,) = rejected("a.jsonl", documents=None, examples=columns)
    assert told == "a.jsonl, row 1: `stars` is '3', which `labels` does not name; it names '1'"


def test_two_patterns_that_meet_in_a_file_are_told(folder: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(name)
    with pytest.raises(BadSettings, match=r"`notes`: .*a.txt fits `\*.txt` and `.*/a.txt`, and would be read twice"):
        read(source("*.txt", files=[{"path": "*.txt"}, {"path": str(folder / "a.txt")}]))


def test_files_of_one_name_in_two_folders_have_keys_of_their_own(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
        (folder / name / "a.txt").write_text(name)
    both = source("", files=[{"path": "one/a.txt"}, {"path": str(folder / "two" / "*.txt")}])
    assert [record[0] for record in read(both)] == ["one/a.txt:1", "two/a.txt:1"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (b"na\xefve.txt", "na\\xefve.txt:1"),
        (b"a\nb.txt", "a\\nb.txt:1"),
        (b"notes [old].txt", "notes [old].txt:1"),
        ("第一.txt".encode(), "第一.txt:1"),
    ],
)
def test_a_name_may_have_any_bytes(folder: Path, name: bytes, key: str) -> None:
    (folder / os.fsdecode(name)).write_text("one")
    (record,) = read(source("*.txt"))
    assert record[:2] == (key, "one")
    assert record[0].isprintable()


def test_a_name_with_brackets_is_no_pattern(folder: Path) -> None:
    (folder / "notes [old].txt").write_text("one")
    assert texts("notes [old].txt") == ["one"]


def test_a_link_to_nothing_is_no_file(folder: Path) -> None:
    (folder / "a.txt").write_text("one")
    (folder / "b.txt").symlink_to("nowhere.txt")
    assert texts("*.txt") == ["one"]
