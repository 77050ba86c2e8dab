"""Readers of data files: text, JSON, CSV, TSV, Parquet and CoNLL columns, also compressed, as numbered rows."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import BadData, BadSettings

RawRow = Mapping[str, object]
Numbered = Iterator[tuple[int, RawRow]]

Format = Literal["txt", "json", "jsonl", "csv", "tsv", "parquet", "conll"]

CODECS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
DOCUMENT_START = "-DOCSTART-"


@dataclass(frozen=True)
class DataFile:
    """A file of rows, on disk or inside an archive: its name for error lines, and how to open its bytes.

    `columns` names the columns of a format that has no names of its own: CSV and TSV without a header, CoNLL.
    `format` is needed where the suffix of the name says none, or another one.
    """

    name: str
    open: Callable[[], pa.NativeFile]
    columns: Sequence[str] | None
    format: Format | None

    @classmethod
    def on_disk(cls, path: Path, columns: Sequence[str] | None = None, format: Format | None = None) -> Self:  # noqa: A002
        """A file by its path."""
        return cls(str(path), lambda: pa.OSFile(str(path)), columns, format)

    @classmethod
    def in_memory(
        cls,
        name: str,
        content: Callable[[], bytes],
        columns: Sequence[str] | None = None,
        format: Format | None = None,  # noqa: A002
    ) -> Self:
        """A file by its content, which is asked for when the file is read."""
        return cls(name, lambda: pa.BufferReader(content()), columns, format)


def read(file: DataFile) -> Numbered:
    """The rows, each with its number: of the line where it ends or, where rows are no lines, of the row, from 1.

    Raises `BadData` with the file and the line or row.
    """
    return READERS[file.format or _suffix(file.name)](file)


def check(name: str) -> None:
    """Raise `BadSettings` for a file of a kind that is not read."""
    if _suffix(name) not in READERS:
        raise BadSettings(
            f"{name}: files with this ending are not read; known: {', '.join(READERS)}, also with .gz, .zst or .bz2; "
            "name the `format` where it is one of these"
        )


def _suffix(name: str) -> str:
    suffixes = [suffix for suffix in PurePath(name).suffixes if suffix not in CODECS]
    return suffixes[-1].removeprefix(".") if suffixes else ""


def _lines(file: DataFile) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, numbered from 1, whatever its compression. Raises `BadData` with file and line."""
    number = 0
    codec = CODECS.get(PurePath(file.name).suffix)
    try:
        with io.BufferedReader(pa.input_stream(file.open(), compression=codec)) as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line.decode()
    except UnicodeDecodeError as error:
        raise BadData(f"{file.name}, line {number}: not UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise BadData(f"{file.name}, after line {number}: not readable: {error}") from None


def _text(file: DataFile) -> Numbered:
    yield 1, {"text": "".join(line for _, line in _lines(file))}


def _jsonl(file: DataFile) -> Numbered:
    for number, line in _lines(file):
        if line.strip():
            yield number, _json_object(_json(line, f"{file.name}, line {number}"), f"{file.name}, line {number}")


def _json_array(file: DataFile) -> Numbered:
    content = _json("".join(line for _, line in _lines(file)), file.name)
    if not isinstance(content, list):
        raise BadData(f"{file.name}: not a JSON array of objects but {type(content).__name__}")
    for number, row in enumerate(content, start=1):
        yield number, _json_object(row, f"{file.name}, row {number}")


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadData(f"{place}: not JSON: {error}") from None


def _json_object(row: object, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise BadData(f"{place}: not a JSON object but {type(row).__name__}")
    return row


def _csv(file: DataFile) -> Numbered:
    return _table(file, strict=True)


def _tsv(file: DataFile) -> Numbered:
    """Tab-separated values as IANA registers them: a quotation mark is a character like any other."""
    return _table(file, strict=True, delimiter="\t", quoting=csv.QUOTE_NONE)


def _table(file: DataFile, **dialect: Any) -> Numbered:
    csv.field_size_limit(2**31 - 1)  # the default is 131,072 characters
    reader = csv.DictReader((line for _, line in _lines(file)), file.columns, **dialect)
    try:
        for row in reader:
            if None in row or None in row.values():
                expected = f"{len(reader.fieldnames or ())} fields of {'`columns`' if file.columns else 'the header'}"
                raise BadData(f"{file.name}, line {reader.line_num}: not the {expected}")
            yield reader.line_num, row
    except csv.Error as error:
        raise BadData(f"{file.name}, line {reader.line_num}: not CSV: {error}") from None


def _parquet(file: DataFile) -> Numbered:
    number = 0
    try:
        with pq.ParquetFile(file.open()) as content:
            for batch in content.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{file.name}, after row {number}: not readable Parquet: {error}") from None


def _conll(file: DataFile) -> Numbered:
    """A row for each sentence: a list for each column. Without names the columns are called 1, 2, 3, …"""
    sentence: list[list[str]] = []
    number = width = 0
    for number, line in _lines(file):
        fields = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if any(fields) and fields[0] != DOCUMENT_START:
            width = width or len(file.columns or fields)
            if len(fields) != width:
                raise BadData(f"{file.name}, line {number}: {len(fields)} columns, not {width}")
            sentence.append(fields)
        elif sentence:
            yield number - 1, _columns(sentence, file.columns)
            sentence = []
    if sentence:
        yield number, _columns(sentence, file.columns)


def _columns(sentence: list[list[str]], names: Sequence[str] | None) -> RawRow:
    width = len(sentence[0])
    return dict(zip(names or map(str, range(1, width + 1)), map(list, zip(*sentence, strict=True)), strict=True))


READERS: dict[str, Callable[[DataFile], Numbered]] = {
    "txt": _text,
    "json": _json_array,
    "jsonl": _jsonl,
    "csv": _csv,
    "tsv": _tsv,
    "parquet": _parquet,
    "conll": _conll,
}
