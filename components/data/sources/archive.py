"""Zip and tar archives, also as wheels and sdists. Nothing in one is installed, run, or written to a path it names.

docs/decisions.md, "Packages are read as archives"
"""

import io
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

from components.core.errors import BadData, BadSettings
from components.core.params import suggest
from components.data.sources.datafile import DataFile, on_disk, shown
from components.data.sources.readers import format_of
from components.data.sources.streams import SUFFIXES, check_ratio, content

ZIPS = (".zip", ".whl")
TARS = (".tar", *(f".tar{ending}" for ending in SUFFIXES), ".tgz", ".tbz2", ".txz", ".tzst")


class Archive:
    """The files inside an archive, by their paths in it; links and devices are none."""

    def __init__(self, name: str, sizes: dict[str, int], read: Callable[[str], bytes]) -> None:
        """`sizes` are bytes of the members. Raises `BadData` for a path that leads out of the archive."""
        self._name = name
        self._members = sorted(sizes)
        self._sizes = sizes
        self._read = read
        for member in self._members:
            path = PurePosixPath(member.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts:
                raise BadData(f"{name}: its member {shown(member)} leads out of the archive: take it out")

    def names(self, pattern: str) -> list[str]:
        """The members that match a shell pattern, sorted. Raises `BadSettings` when there is none."""
        found = [name for name in self._members if fnmatchcase(name, pattern)]
        if not found:
            raise BadSettings(f"{self._name} holds no file like `{pattern}`")
        return found

    def size(self, member: str) -> int:
        """The bytes of a member."""
        return self._sizes[member]

    def read(self, member: str) -> bytes:
        """The bytes of one member. Raises `BadSettings`, which names the nearest one, when there is no such member."""
        if member not in self._members:
            raise BadSettings(f"{self._name} holds no `{member}`; {suggest(member, self._members)}")
        try:
            return self._read(member)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise BadData(f"{self._name}: its member {shown(member)} is not readable: {error}") from None


def is_archive(name: str) -> bool:
    """Whether the ending of a name is that of an archive, in letters of either case."""
    return name.lower().endswith(ZIPS + TARS)


def open_archive(path: Path) -> Archive:
    """The archive at a path: `.whl` and `.zip`, or else a tar, compressed or not. Raises `BadData`."""
    try:
        return _zip(path) if path.name.lower().endswith(ZIPS) else _tar(path)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        raise BadData(f"{shown(path.name)} is not a readable archive: {error}; copy or fetch it again") from None


def members(archive: DataFile, path: Path, pattern: str | None) -> Iterator[tuple[str, DataFile]]:
    """The files of rows in an archive with their paths there: those that match a pattern, or whose ending is known."""
    opened = open_archive(path)
    known = archive.options.format is not None
    for member in opened.names(pattern or "*"):
        if pattern or known or format_of(member):
            yield member, _member(archive, opened, member)


def _member(archive: DataFile, opened: Archive, member: str) -> DataFile:
    held: list[bytes] = []  # the member is read when its rows are

    def open_() -> BinaryIO:
        if not held:
            held.append(opened.read(member))
        return io.BytesIO(held[0])

    return replace(archive, name=f"{archive.name}/{member}", open=open_, size=opened.size(member))


def _zip(path: Path) -> Archive:
    content = zipfile.ZipFile(path)
    files = [
        entry for entry in content.infolist() if not entry.is_dir() and not stat.S_ISLNK(entry.external_attr >> 16)
    ]
    check_ratio(shown(path.name), sum(entry.file_size for entry in files), path.stat().st_size)
    return Archive(path.name, {entry.filename: entry.file_size for entry in files}, content.read)


def _tar(path: Path) -> Archive:
    content = tarfile.open(fileobj=_uncompressed(path), mode="r:")  # noqa: SIM115 - lives as long as the archive
    files = [entry for entry in content if entry.isreg()]

    def read(member: str) -> bytes:
        file = content.extractfile(member)
        return file.read() if file else b""

    return Archive(path.name, {entry.name: entry.size for entry in files}, read)


def _uncompressed(path: Path) -> IO[bytes]:
    """Decompress the tar into an unnamed temporary file, so that its members can be read in any order at no cost."""
    tar = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the archive
    with content(DataFile(path.name, *on_disk(path))) as packed:
        shutil.copyfileobj(packed, tar, 1 << 20)
    tar.seek(0)
    return tar
