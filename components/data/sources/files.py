"""Sources of the kind `files`: local text, JSON lines, CSV and Parquet, also compressed."""

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from annotated_types import Len

from components.core.errors import BadData, BadSettings, TryAgain
from components.data.sources.digests import digests, signature
from components.data.sources.rows import DocumentColumns, ExampleColumns, RawRow, check, records
from components.data.sources.source import LIST_ANEW, Source
from components.data.tables.records import Record

COMPRESSED = (".gz", ".zst", ".bz2")
Numbered = Iterator[tuple[int, RawRow]]


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A path, or a shell pattern (`corpus/**/*.jsonl.zst`); the sha256 pins a path to one content."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str
    sha256: Annotated[str, Len(64, 64)] | None = None


@dataclass(frozen=True, kw_only=True)
class FilesSource(Source):
    """Local files. A `.txt` file is one row with one column, `text`."""

    divisible: ClassVar[bool] = True

    kind: Literal["files"]
    files: Annotated[tuple[Pattern, ...], Len(1)]
    documents: DocumentColumns | None = None
    examples: ExampleColumns | None = None

    @property
    def origin(self) -> str:
        return "file:"

    @property
    def local_patterns(self) -> list[str]:
        return [pattern.path for pattern in self.files]

    def local_files(self) -> list[Path]:
        patterns = [pattern for pattern in self.files if not pattern.sha256]
        return sorted({path for pattern in patterns for path in _find(pattern, self.where)})

    def records(self, listed: Mapping[str, str]) -> Iterator[Record]:
        check(self.documents, self.examples, self.where)
        files = []
        for pattern in self.files:
            base = fixed_folder(pattern.path)
            paths = [path for path in _find(pattern, self.where) if pattern.sha256 or str(path) in listed]
            _check_pin(paths, pattern.sha256, self.where)
            files += [(path.relative_to(base).as_posix(), path) for path in paths]
        _check_listing(listed, {str(path) for _, path in files}, self.where)
        return records(_rows(files, self.where), self.documents, self.examples)


def fixed_folder(pattern: str) -> Path:
    """The folder above the first part of a pattern with a wildcard: names below it are the same on every machine."""
    fixed = itertools.takewhile(lambda part: not set(part) & set("*?["), Path(pattern).parts[:-1])
    return Path(*fixed)


def _find(pattern: Pattern, where: str) -> list[Path]:
    base = fixed_folder(pattern.path)
    paths = sorted(path for path in base.glob(str(Path(pattern.path).relative_to(base))) if path.is_file())
    if not paths:
        raise BadSettings(f"{where}: there is no file {pattern.path}")
    for path in paths:
        _reader(path)
    return paths


def _check_pin(paths: list[Path], sha256: str | None, where: str) -> None:
    for path, found in digests(paths).items() if sha256 else ():
        if found != sha256:
            raise BadData(f"{where}: {path} has the sha256 {found}, pinned is {sha256}")


def _check_listing(listed: Mapping[str, str], found: set[str], where: str) -> None:
    """Raise `TryAgain` when a listed file is gone or has changed since."""
    if not found:
        raise TryAgain(f"{where}: none of its files is in data/listing.json: {LIST_ANEW}")
    now = digests(Path(path) for path in listed if path in found)
    changed = next((path for path, content in listed.items() if now.get(path) != content), None)
    if changed:
        raise TryAgain(f"{where}: {changed} is no longer what data/listing.json says: {LIST_ANEW}")


def _rows(files: list[tuple[str, Path]], where: str) -> Iterator[tuple[str, str, RawRow]]:
    before = {path: signature(path) for _, path in files}
    for name, path in files:
        for number, row in _reader(path)(path):
            yield f"{name}:{number}", f"{path}, row {number}", row
        if signature(path) != before[path]:
            raise TryAgain(f"{where}: {path} changed while it was read: {LIST_ANEW}")


def _reader(path: Path) -> Callable[[Path], Numbered]:
    suffixes = [suffix for suffix in path.suffixes if suffix not in COMPRESSED]
    suffix = suffixes[-1] if suffixes else ""
    if suffix not in READERS:
        raise BadSettings(
            f"{path}: files of this kind are not read; known: {', '.join(READERS)}, also with .gz or .zst"
        )
    return READERS[suffix]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file, numbered from 1, whatever its compression. Raises `BadData` with file and line."""
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
    csv.field_size_limit(2**31 - 1)  # the default is 131,072 characters
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
