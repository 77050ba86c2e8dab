"""Sources of the kind `files`: local files in the formats of `readers`."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Len

from components.core.errors import BadData, BadSettings, TryAgain
from components.data.sources import readers
from components.data.sources.columns import Columns, records
from components.data.sources.digests import digests, signature
from components.data.sources.readers import DataFile, Format
from components.data.sources.rows import Row
from components.data.sources.source import LIST_ANEW, Source
from components.data.tables.records import Record


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A path, or a shell pattern (`corpus/**/*.jsonl.zst`); the sha256 pins a path to one content."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str
    sha256: Annotated[str, Len(64, 64)] | None = None


@dataclass(frozen=True, kw_only=True)
class FilesSource(Source, Columns):
    """Local files. A `.txt` file is one row with one column, `text`."""

    divisible: ClassVar[bool] = True

    kind: Literal["files"]
    files: Annotated[tuple[Pattern, ...], Len(1)]
    columns: Annotated[tuple[str, ...], Len(1)] | None = None  # of CSV and TSV without a header, and of CoNLL
    format: Format | None = None  # where the endings of the files say none, or another one

    @property
    def origin(self) -> str:
        return "file:"

    @property
    def local_patterns(self) -> list[str]:
        return [pattern.path for pattern in self.files]

    def local_files(self) -> list[Path]:
        patterns = [pattern for pattern in self.files if not pattern.sha256]
        return sorted({path for pattern in patterns for path in self._find(pattern)})

    def records(self, listed: Mapping[str, str]) -> Iterator[Record]:
        self.check(self.where)
        return records(self.rows(listed), self)

    def rows(self, listed: Mapping[str, str]) -> Iterator[Row]:
        """The rows of the files, before columns are chosen."""
        files = []
        for pattern in self.files:
            base = fixed_folder(pattern.path)
            paths = [path for path in self._find(pattern) if pattern.sha256 or str(path) in listed]
            _check_pin(paths, pattern.sha256, self.where)
            files += [(path.relative_to(base).as_posix(), path) for path in paths]
        _check_listing(listed, {str(path) for _, path in files}, self.where)
        return _rows(files, self)

    def _find(self, pattern: Pattern) -> list[Path]:
        base = fixed_folder(pattern.path)
        paths = sorted(path for path in base.glob(str(Path(pattern.path).relative_to(base))) if path.is_file())
        if not paths:
            raise BadSettings(f"{self.where}: there is no file {pattern.path}")
        for path in () if self.format else paths:
            readers.check(str(path))
        return paths


def fixed_folder(pattern: str) -> Path:
    """The folder above the first part of a pattern with a wildcard: names below it are the same on every machine."""
    fixed = itertools.takewhile(lambda part: not set(part) & set("*?["), Path(pattern).parts[:-1])
    return Path(*fixed)


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


def _rows(files: list[tuple[str, Path]], source: FilesSource) -> Iterator[Row]:
    before = {path: signature(path) for _, path in files}
    for name, path in files:
        for number, values in readers.read(DataFile.on_disk(path, source.columns, source.format)):
            yield Row(f"{name}:{number}", f"{path}, row {number}", values)
        if signature(path) != before[path]:
            raise TryAgain(f"{source.where}: {path} changed while it was read: {LIST_ANEW}")
