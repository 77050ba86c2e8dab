"""A wheel or an sdist, read as the zip or tar archive that it is: nothing in it is installed or run.

docs/decisions.md, "Packages are read as archives"
"""

import gzip
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

from components.core.errors import BadData, BadSettings
from components.core.params import suggest


class Archive:
    """The files inside an archive, by their paths in it."""

    def __init__(self, name: str, members: list[str], read: Callable[[str], bytes]) -> None:
        self._name = name
        self._members = sorted(members)
        self._read = read

    def names(self, pattern: str) -> list[str]:
        """The members that match a shell pattern, sorted. Raises `BadSettings` when there is none."""
        found = [name for name in self._members if fnmatchcase(name, pattern)]
        if not found:
            raise BadSettings(f"{self._name} holds no file like `{pattern}`")
        return found

    def read(self, member: str) -> bytes:
        """The bytes of one member. Raises `BadSettings`, which names the nearest one, when there is no such member."""
        if member not in self._members:
            raise BadSettings(f"{self._name} holds no `{member}`; {suggest(member, self._members)}")
        return self._read(member)


def open_archive(path: Path) -> Archive:
    """The archive at a path: `.whl` and `.zip`, or else a tar compressed with gzip. Raises `BadData`."""
    try:
        return _zip(path) if path.suffix in (".whl", ".zip") else _tar(path)
    except (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, EOFError) as error:
        raise BadData(f"{path.name} is not a readable archive: {error}") from None


def _zip(path: Path) -> Archive:
    content = zipfile.ZipFile(path)
    return Archive(path.name, content.namelist(), content.read)


def _tar(path: Path) -> Archive:
    content = tarfile.open(fileobj=_uncompressed(path), mode="r:")  # noqa: SIM115 - lives as long as the archive

    def read(member: str) -> bytes:
        file = content.extractfile(member)
        return file.read() if file else b""

    return Archive(path.name, content.getnames(), read)


def _uncompressed(path: Path) -> IO[bytes]:
    """Decompress the tar into an unnamed temporary file, so that its members can be read in any order at no cost."""
    tar = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the archive
    with gzip.open(path) as packed:
        shutil.copyfileobj(packed, tar, 1 << 20)
    tar.seek(0)
    return tar
