"""Sources of the kind `files`: text, JSON lines, CSV and Parquet of this machine, also compressed."""

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from annotated_types import Len

from components.data.records import Record
from components.data.sources.index import digest
from components.data.sources.rows import DocumentColumns, ExampleColumns, Row, check, records
from components.data.sources.source import Source
from components.stage import BadData, BadSettings

COMPRESSED = (".gz", ".zst", ".bz2")
Numbered = Iterator[tuple[int, Row]]


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A path, or a shell pattern (`corpus/**/*.jsonl.zst`); the sha256 pins a path to one content."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str
    sha256: Annotated[str, Len(64, 64)] | None = None


@dataclass(frozen=True, kw_only=True)
class FilesSource(Source):
    """Local files. A `.txt` file is one row with one column, `text`."""

    kind: Literal["files"]
    files: Annotated[tuple[Pattern, ...], Len(1)]
    documents: DocumentColumns | None = None
    examples: ExampleColumns | None = None

    @property
    def origin(self) -> str:
        return "file:"

    def records(self) -> Iterator[Record]:
        check(self.documents, self.examples, self.where)
        found = [(name, path) for pattern in self.files for name, path in _find(pattern, self.where)]
        return records(_rows(found), self.documents, self.examples)


def _find(pattern: Pattern, where: str) -> list[tuple[str, Path]]:
    """The files of a pattern with the names they have below its fixed folder, the same on every machine."""
    base = _fixed_folder(Path(pattern.path))
    paths = sorted(path for path in base.glob(str(Path(pattern.path).relative_to(base))) if path.is_file())
    if not paths:
        raise BadSettings(f"{where}: there is no file {pattern.path}")
    for path in paths:
        _reader(path)
        if pattern.sha256 and (found := digest(path)) != pattern.sha256:
            raise BadData(f"{where}: {path} has the sha256 {found}, pinned is {pattern.sha256}")
    return [(path.relative_to(base).as_posix(), path) for path in paths]


def _fixed_folder(pattern: Path) -> Path:
    """The folder above the first part of the pattern that has a wildcard."""
    fixed = list(itertools.takewhile(lambda part: not set(part) & set("*?["), pattern.parts[:-1]))
    return Path(*fixed)


def _rows(files: list[tuple[str, Path]]) -> Iterator[tuple[str, str, Row]]:
    for name, path in files:
        for number, row in _reader(path)(path):
            yield f"{name}:{number}", f"{path}, row {number}", row


def _reader(path: Path) -> Callable[[Path], Numbered]:
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSED]
    suffix = suffixes[-1] if suffixes else ""
    if suffix not in READERS:
        raise BadSettings(
            f"{path}: files of this kind are not read; known: {', '.join(READERS)}, also with .gz or .zst"
        )
    return READERS[suffix]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, numbered from 1, whatever its compression; `BadData` names file and line."""
    number = 0
    try:
        with io.BufferedReader(pa.input_stream(path, compression="detect")) as stream:
            for number, line in enumerate(stream, start=1):
                yield number, line.decode()
    except UnicodeDecodeError as error:
        raise BadData(f"{path}, line {number}: not UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise BadData(f"{path}, after line {number}: not readable: {error}") from None


def _text(path: Path) -> Numbered:
    yield 1, {"text": "".join(line for _, line in _lines(path))}


def _jsonl(path: Path) -> Numbered:
    for number, line in _lines(path):
        if line.strip():
            yield number, _json_object(line, f"{path}, line {number}")


def _json_object(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadData(f"{place}: not JSON: {error}") from None
    if not isinstance(row, dict):
        raise BadData(f"{place}: not a JSON object but {type(row).__name__}")
    return row


def _csv(path: Path) -> Numbered:
    csv.field_size_limit(2**31 - 1)  # of 131,072 characters otherwise
    reader = csv.DictReader((line for _, line in _lines(path)), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise BadData(
                    f"{path}, line {reader.line_num}: not the {len(reader.fieldnames or ())} fields of the header"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise BadData(f"{path}, line {reader.line_num}: not CSV: {error}") from None


def _parquet(path: Path) -> Numbered:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"{path}, after row {number}: not readable Parquet: {error}") from None


READERS: dict[str, Callable[[Path], Numbered]] = {
    ".txt": _text,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
