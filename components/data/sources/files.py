"""Sources of the kind `files`: local files, and pinned ones behind an address, in the formats of `readers`."""

import itertools
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Len

from components.core.errors import BadData, BadSettings, TryAgain
from components.data.sources import archive, readers, remote
from components.data.sources.columns import Columns, records
from components.data.sources.datafile import DataFile, ReadOptions, on_disk, shown
from components.data.sources.digests import Signature, digests, signature
from components.data.sources.rows import Row, numbered_rows, tell
from components.data.sources.source import LIST_ANEW, Portion, Source
from components.data.tables.records import Record, Rejected

Named = tuple[str, Path]
"""A file's name in the keys of its rows, the same on every machine, and its path on this one."""


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """A path, a shell pattern (`corpus/**/*.jsonl.zst`), or an address (`s3://…`); a pin says its one content."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    path: str
    sha256: Annotated[str, Len(64, 64)] | None = None
    etag: str | None = None  # of an address, as its server gives it

    @property
    def is_address(self) -> bool:
        """Whether the file is not on this machine."""
        return "://" in self.path


@dataclass(frozen=True, kw_only=True)
class FilesSource(Source, Columns, ReadOptions):
    """Files of rows. A text, page or PDF is one row."""

    divisible: ClassVar[bool] = True

    kind: Literal["files"]
    files: Annotated[tuple[Pattern, ...], Len(1)]
    members: str | None = None  # a shell pattern of what is read of archives; else all whose ending is known
    storage_options: remote.StorageOptions | None = None  # of addresses: what fsspec hands to their file system

    @property
    def origin(self) -> str:
        return "file:"

    @property
    def local_patterns(self) -> list[str]:
        return [pattern.path for pattern in self.files if not pattern.is_address]

    def local_files(self) -> list[Path]:
        patterns = [pattern for pattern in self.files if not pattern.sha256 and not pattern.is_address]
        return sorted({path for pattern in patterns for path in self._find(pattern)})

    def records(self, listed: Mapping[str, str]) -> Iterator[Record | Rejected]:
        self.check(self.where, self.yields)
        return records(self.rows(listed), self, self.yields)

    def portions(self, listed: Mapping[str, str]) -> Iterator[Portion]:
        """The files one by one; what is to be told of those that were read comes at the end."""
        self.check(self.where, self.yields)
        files, notes = self._files(listed), defaultdict[str, list[str]](list)
        before = {path: signature(path) for _, path in files}
        contents = digests(path for _, path in files)
        for name, path in files:
            yield Portion(f"{name}\n{contents[str(path)]}", partial(self._of, (name, path), before, notes))
        tell(notes, self.name)

    def _of(
        self, file: Named, before: Mapping[Path, Signature], notes: dict[str, list[str]]
    ) -> Iterator[Record | Rejected]:
        return records(_rows([file], before, self, notes), self, self.yields)

    def rows(self, listed: Mapping[str, str]) -> Iterator[Row]:
        """The rows of the files, before columns are chosen."""
        return self._told(self._files(listed))

    def _told(self, files: list[Named]) -> Iterator[Row]:
        notes = defaultdict[str, list[str]](list)
        yield from _rows(files, {path: signature(path) for _, path in files}, self, notes)
        tell(notes, self.name)

    def _files(self, listed: Mapping[str, str]) -> list[Named]:
        """The files to be read, in order."""
        found: dict[Path, str] = {}
        known: dict[str, Pattern] = {}
        for pattern in self.files:
            for path in self._fetched(pattern, listed):
                before = known.setdefault(str(path.absolute()), pattern)
                if before is not pattern:
                    raise BadSettings(
                        f"{self.where}: {shown(str(path))} fits `{before.path}` and `{pattern.path}`, and would be "
                        "read twice: take one of them out, or make it narrower"
                    )
                found[path] = pattern.path
        local = {str(path) for path, pattern in found.items() if "://" not in pattern}
        _check_listing(listed, local, self.where, all_pinned=all(p.sha256 or p.is_address for p in self.files))
        return self._named(found)

    def _fetched(self, pattern: Pattern, listed: Mapping[str, str]) -> list[Path]:
        """The files of a pattern that are to be read: those listed, or pinned."""
        if pattern.is_address:
            return [remote.fetch(pattern.path, pattern.sha256, pattern.etag, self.storage_options, self.where)]
        paths = [path for path in self._find(pattern) if pattern.sha256 or str(path) in listed]
        _check_pin(paths, pattern.sha256, self.where)
        return paths

    def _named(self, found: Mapping[Path, str]) -> list[Named]:
        """The files with their names, which lead from the folder that all patterns have in common."""
        bases = {fixed_folder(pattern).absolute() for pattern in found.values() if "://" not in pattern}
        base = os.path.commonpath(bases) if bases else ""
        return [
            (pattern if "://" in pattern else shown(os.path.relpath(path, base)), path)
            for path, pattern in found.items()
        ]

    def _find(self, pattern: Pattern) -> list[Path]:
        base = fixed_folder(pattern.path)
        literal = Path(pattern.path)
        paths = [literal] if literal.is_file() else sorted(_matches(base, pattern.path))
        if not paths:
            raise BadSettings(f"{self.where}: there is no file {pattern.path}")
        for path in () if self.format else paths:
            if not archive.is_archive(path.name):
                readers.check(shown(str(path)))
        return paths


def fixed_folder(pattern: str) -> Path:
    """The folder above the first part of a pattern with a wildcard: names below it are the same on every machine."""
    parts = Path(pattern).parts[:-1]
    fixed = parts if Path(pattern).is_file() else itertools.takewhile(lambda part: not set(part) & set("*?["), parts)
    return Path(*fixed)


def _matches(base: Path, pattern: str) -> Iterator[Path]:
    return (path for path in base.glob(str(Path(pattern).relative_to(base))) if path.is_file())


def _check_pin(paths: list[Path], sha256: str | None, where: str) -> None:
    for path, found in digests(paths).items() if sha256 else ():
        if found != sha256:
            raise BadData(f"{where}: {shown(str(path))} has the sha256 {found}, pinned is {sha256}")


def _check_listing(listed: Mapping[str, str], found: set[str], where: str, all_pinned: bool) -> None:
    """Raise `TryAgain` when a listed file is gone or has changed since."""
    if not found and not all_pinned:
        raise TryAgain(f"{where}: none of its files is in data/listing.json: {LIST_ANEW}")
    now = digests(Path(path) for path in listed if path in found)
    changed = next((path for path, content in listed.items() if now.get(path) != content), None)
    if changed:
        raise TryAgain(f"{where}: {shown(changed)} is no longer what data/listing.json says: {LIST_ANEW}")


def _rows(
    files: list[Named], before: Mapping[Path, Signature], source: FilesSource, notes: dict[str, list[str]]
) -> Iterator[Row]:
    """The rows of files that had these signatures before any of them was read."""
    for name, path in files:
        for key, file in _data_files(name, path, source):
            yield from numbered_rows(key, file, notes)
        if signature(path) != before[path]:
            raise TryAgain(f"{source.where}: {shown(str(path))} changed while it was read: {LIST_ANEW}")


def _data_files(name: str, path: Path, source: FilesSource) -> Iterator[tuple[str, DataFile]]:
    """The file or, of an archive, its members, each with its name in keys."""
    file = DataFile(str(path), *on_disk(path), source, source.languages)
    if not archive.is_archive(name):
        yield name, file
        return
    for member, inside in archive.members(file, path, source.members):
        yield f"{name}/{member}", inside
