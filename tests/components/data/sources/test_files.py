"""Sources of the kind `files`."""

import bz2
import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core import params
from components.core.errors import BadData, BadSettings
from components.core.files import sha256
from components.data.sources.digests import digests
from components.data.sources.files import FilesSource
from components.data.tables.records import Document, Example, Record

TEXT = {"text": "text"}


def source(path: Path | str, sha256: str | None = None, **changes: object) -> FilesSource:
    entry = {
        "name": "notes",
        "kind": "files",
        "license": "MIT",
        "languages": ["en"],
        "yields": ["documents"],
        "files": [{"path": str(path), "sha256": sha256}],
        "documents": TEXT,
    }
    return params.parse(entry | changes, FilesSource, "sources.yaml: notes")


def read(source: FilesSource) -> list[Record]:
    """All records, of the files as they are now."""
    return list(source.records(digests(source.local_files())))


def texts(path: Path | str) -> list[str | None]:
    return [record.text for record in read(source(path)) if isinstance(record, Document)]


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


@pytest.mark.parametrize(
    ("ending", "pack"), [("", bytes), (".gz", gzip.compress), (".zst", zstd), (".bz2", bz2.compress)]
)
@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "one\r\ntwo\n", ["one\r\ntwo\n"]),
        ("a.jsonl", '{"text": "一"}\n\n{"text": "two"}\n{"text": null}', ["一", "two", None]),
        ("a.csv", 'text,more\n"two\nlines",1\nthree,2\n', ["two\nlines", "three"]),
        ("a.tsv", 'text\tmore\n"one\t1\ntwo, 2\t2\n', ['"one', "two, 2"]),
        ("a.json", '[{"text": "一"},\n {"text": null}]', ["一", None]),
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


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.jsonl", b'{"text": "one"}\n{"text": \n', r"a.jsonl, line 2: not JSON"),
        ("a.jsonl", b'{"text": "one"}\n["two"]\n', r"a.jsonl, line 2: not a JSON object but list"),
        ("a.jsonl", b'{"text": "one"}\n{"test": "two"}\n', r"a.jsonl, row 2: no column `text`; there are test"),
        ("a.jsonl", b'{"text": 1}\n', r"a.jsonl, row 1: `text` is not text but int"),
        ("a.txt", b"fine\n\xff\xfe\n", r"a.txt, line 2: not UTF-8"),
        ("a.csv", b"text,more\none,1\ntwo\n", r"a.csv, line 3: not the 2 fields of the header"),
        ("a.csv", b'text\none\n"two', r"a.csv, line 2: not CSV"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "one"}\n', mtime=0)[:-9], r"a.jsonl.gz, after line \d: not readable"),
        ("a.json", b'{"text": "one"}', r"a.json: not a JSON array of objects but dict"),
        ("a.json", b'[{"text": "one"}, 2]', r"a.json, row 2: not a JSON object but int"),
        ("a.tsv", b"text\tmore\none\t1\ntwo\n", r"a.tsv, line 3: not the 2 fields of the header"),
        ("a.conll", b"Ann PER\nleft\n", r"a.conll, line 2: 1 columns, not 2"),
        ("a.parquet", b"PAR1nonsense", r"a.parquet, after row 0: not readable Parquet"),
    ],
)
def test_an_unreadable_row_is_named_by_file_and_line(folder: Path, name: str, content: bytes, line: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(BadData, match=line):
        texts(name)


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
    with pytest.raises(BadData, match=r"a.jsonl, row 1: `stars` is '3', which `labels` does not name"):
        read(source("a.jsonl", documents=None, examples=columns))
