"""A bad row is rejected for what is wrong with it, and a bad file is named: nothing is blamed on anything else."""

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import BadData
from components.data.sources import streams
from components.data.tables.records import Rejected
from tests.components.data.support.files import read, rejected, source, texts

GOOD = '{"text": "fine", "more": "für uns"}\n'.encode()
LABELLED = {
    "documents": None,
    "examples": {"task": "t", "inputs": {"text": "text"}, "target": "label", "labels": {"1": "good", "0": "bad"}},
}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'{"text": \n', "not JSON: Expecting value (character 10)"),
        (b'["two"]\n', "not a JSON object but list"),
        (b'{"test": "two"}\n', "no column `text`; there are test"),
        (b'{"text": 1}\n', "`text` is not text but int"),
        (b'{"text": null}\n', "the text is missing"),
        (b'{"text": " "}\n', "the text is empty"),
        (b'{"text": "\\ud83d"}\n', "the text has half of a surrogate pair at character 0, which is no character"),
        (b'{"text": "caf\xe9"}\n', "the byte 0xe9 does not fit the encoding of the file"),
        (b'{"text": "a", "text": "b"}\n', "an object names `text` twice"),
        (b'{"text": "a", "n": ' + b"9" * 5000 + b"}\n", "a number of more than 4,300 digits"),
        (b'{"text": ' + b"[" * 100_000 + b"}\n", "nested too deep to be read"),
    ],
)
def test_a_bad_row_of_json_lines(folder: Path, row: bytes, reason: str) -> None:
    (folder / "a.jsonl").write_bytes(GOOD + row + GOOD)
    assert texts("a.jsonl") == ["fine", "fine"]
    assert rejected("a.jsonl") == [f"a.jsonl, row 2: {reason}"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"two\n", "1 fields, where the columns are 2"),
        (b"two,2,2\n", "3 fields, where the columns are 2"),
        (b'"two"x,2\n', "not CSV: ',' expected after '\"'"),
        (b"caf\xe9,2\n", "the byte 0xe9 does not fit the encoding of the file"),
        (b",2\n", "the text is empty"),
    ],
)
def test_a_bad_row_of_csv(folder: Path, row: bytes, reason: str) -> None:
    (folder / "a.csv").write_bytes("text,n\nfein für uns,1\n".encode() + row + b"fine,3\n")
    assert texts("a.csv") == ["fein für uns", "fine"]
    assert rejected("a.csv") == [f"a.csv, row 3: {reason}"]


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("null", "the target is missing"),
        ("NaN", "the target is missing"),
        ('""', "`label` is '', which `labels` does not name; it names '1', '0'"),
        ("3", "`label` is '3', which `labels` does not name; it names '1', '0'"),
        ("[[1]]", "`label` is not text, a number or a truth value but list"),
    ],
)
def test_a_bad_label(folder: Path, label: str, reason: str) -> None:
    (folder / "a.jsonl").write_text(f'{{"text": "fine", "label": 1}}\n{{"text": "so", "label": {label}}}\n')
    assert rejected("a.jsonl", **LABELLED) == [f"a.jsonl, row 2: {reason}"]
    assert len(read(source("a.jsonl", **LABELLED))) == 2


def test_a_row_is_rejected_as_a_whole(folder: Path) -> None:
    (folder / "a.jsonl").write_text('{"text": "fine", "label": 1}\n{"text": "so", "label": null}\n')
    both = LABELLED | {"documents": {"text": "text"}, "yields": ["documents", "t"]}
    assert [type(record).__name__ for record in read(source("a.jsonl", **both))] == ["Document", "Example", "Rejected"]
    assert rejected("a.jsonl", **both | {"yields": ["documents"]}) == []  # what is not taken rejects nothing


def test_a_bad_value_of_parquet(folder: Path) -> None:
    text = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\4\0\0\0\6\0\0\0"), pa.py_buffer(b"fine\xff\xff")]
    )
    pq.write_table(pa.table({"text": text}), folder / "a.parquet")
    assert texts("a.parquet") == ["fine"]
    assert rejected("a.parquet") == ["a.parquet, row 2: `text` is not UTF-8: invalid start byte at byte 0"]
    pq.write_table(pa.table({"text": [b"fine", b"\xff"]}), folder / "b.parquet")
    assert rejected("b.parquet") == [
        "b.parquet, row 2: `text` has bytes that are not UTF-8: invalid start byte at byte 0"
    ]


def test_a_bad_sentence_of_conll(folder: Path) -> None:
    (folder / "a.conll").write_text("Ann PER\nleft O\n\nIt O\nran\n\nOn O\n")
    tags = {"documents": None, "tags": {"task": "ner", "tokens": "1", "tags": "2"}}
    assert rejected("a.conll", **tags) == ["a.conll, row 5: 1 columns at `ran`, not 2"]
    assert len(read(source("a.conll", **tags))) == 3


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"", "the text is empty"),
        ("a.pdf", b"", "an empty file"),
        ("a.pdf", b"%PDF-1.4 nonsense", "damaged or not PDF"),
        ("a.json", b'[{"text": "one"}, 2]', "not a JSON object but int"),
        ("a.html", b"<p></p>", "the text is empty"),
    ],
)
def test_a_bad_row_of_other_formats(folder: Path, name: str, content: bytes, reason: str) -> None:
    (folder / name).write_bytes(content)
    (told,) = rejected(name)
    assert reason in told
    assert told.startswith(f"{name}, row ")


ROWS = b"".join(b'{"text": "row %d of many"}\n' % number for number in range(3000))


@pytest.mark.parametrize(
    ("name", "pack"),
    [("a.gz", gzip.compress), ("a.bz2", bz2.compress), ("a.xz", lzma.compress), ("a.zst", zstd.compress)],
)
def test_a_compressed_file_that_was_cut_is_named(folder: Path, name: str, pack: type[bytes]) -> None:
    (folder / name).write_bytes(pack(ROWS)[:-30])
    with pytest.raises(BadData, match=rf"^{name}: cut off: its compressed data have no end; copy or fetch it again"):
        texts(name, format="jsonl")


def test_a_compression_is_told_by_the_content(folder: Path) -> None:
    (folder / "a.jsonl").write_bytes(gzip.compress(GOOD))
    (folder / "b.jsonl.gz").write_bytes(GOOD)
    (folder / "c.jsonl.gz").write_bytes(gzip.compress(GOOD) + gzip.compress(GOOD))
    assert [texts(name) for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.gz")] == [["fine"], ["fine"], ["fine", "fine"]]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.jsonl.gz", gzip.compress(GOOD) + b"more", "other bytes follow its gzip data"),
        ("a.jsonl.gz", gzip.compress(ROWS)[:200] + b"?" * 50 + gzip.compress(ROWS)[250:], "damaged: "),
        ("a.csv", b'text\none\n"two\nthree\n', r"a.csv, line 3: a quotation mark opens a field that never ends"),
        ("a.csv", b"text,text\none,two\n", r"a.csv: the header names `text` 2 times"),
        ("a.json", b'[{"text": "one"}, {"text"', r"a.json, row 2: not JSON"),
        ("a.json", b'[{"text": "one"}', r"a.json, after row 1: the array has no end"),
        ("a.parquet", b"PAR1nonsense", r"a.parquet, after row 0: damaged or cut off, not readable as Parquet"),
        ("a.parquet", b"", r"a.parquet, after row 0: damaged or cut off, not readable as Parquet"),
        ("a.arrow", b"nonsense", r"a.arrow, after row 0: damaged or cut off, not readable as Arrow"),
        ("a.xml", b"<mediawiki><page>", r"a.xml, after page 0: not readable as XML"),
    ],
)
def test_a_bad_file_is_named(folder: Path, name: str, content: bytes, line: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(BadData, match=line):
        texts(name)


def test_a_bomb_is_not_unpacked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HARMLESS", 10_000)
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(b"0" * 3_000_000))
    with pytest.raises(BadData, match=r"a.jsonl.gz: unpacks to more than 200 times its .* bytes, as no text does"):
        texts("a.jsonl.gz")


def test_a_file_without_rows_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (folder / name).write_text("")
    (folder / "c.jsonl").write_bytes(GOOD)
    assert texts("*.jsonl") == ["fine"]
    assert "notes: a.jsonl and 1 more: no row in it" in capsys.readouterr().out


LINES = st.one_of(
    st.builds(lambda text: json.dumps({"text": text}).encode(), st.text(max_size=5)),
    st.builds(
        lambda value: json.dumps(value).encode(), st.recursive(st.none() | st.integers(), st.lists, max_leaves=3)
    ),
    st.binary(min_size=1, max_size=10).filter(lambda line: not set(b"\r\n") & set(line) and line.strip()),
)


@given(st.lists(LINES, max_size=8))
def test_every_row_of_json_lines_is_kept_or_rejected_once(lines: list[bytes]) -> None:
    Path("a.jsonl").write_bytes(GOOD + b"".join(line + b"\n" for line in lines))
    records = read(source("a.jsonl", encoding="utf-8"))
    numbers = [record.row if isinstance(record, Rejected) else record.key.partition(":")[2] for record in records]
    assert numbers == [str(number) for number in range(1, len(lines) + 2)]
