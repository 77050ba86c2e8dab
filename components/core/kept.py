"""Files that a stage keeps from run to run, each under a digest of all that it follows from.

DVC empties the outs of a stage before it runs, so that what is known of the last run is kept apart from them.
docs/decisions.md, "Results are kept by what they follow from"
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from components.core.files import STATE, sha256

CACHE = STATE / "cache"
DAY = 24 * 60 * 60
PART = ".part"


def key(*parts: object) -> str:
    """The digest of what a file follows from. The parts have to have a `repr` that tells all of them."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()


class KeptFiles:
    """The files of a folder. The name of each ends in the digest of its content, so that a damaged one is not used."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._files = {path.stem: path for path in folder.iterdir() if path.suffix != PART}
        self._checked: dict[str, Path] = {}

    def find(self, key: str) -> Path | None:
        """The file with this key; None when there is none, or it is not as it was written."""
        if key not in self._checked and (path := self._files.get(key)):
            with suppress(FileNotFoundError):  # another run has removed it just now
                if sha256(path) == digest(path):
                    os.utime(path)
                    self._checked[key] = path
                else:
                    path.unlink()
        return self._checked.get(key)

    def add(self, key: str, content: bytes | Callable[[Path], object]) -> Path:
        """The file with this key, which has some bytes or is written by a function."""
        part = self._folder / f"{uuid4().hex}{PART}"
        if isinstance(content, bytes):
            part.write_bytes(content)
        else:
            content(part)
        path = part.replace(self._folder / f"{key}.{sha256(part)}")
        self._checked[key] = path
        return path

    def forget_others(self) -> None:
        """Remove what this run neither found nor added, unless another one did within a day: worktrees share it."""
        used = set(self._checked.values())
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                if path not in used and time.time() - path.stat().st_mtime > DAY:
                    path.unlink()


def digest(path: Path) -> str:
    """The sha256 of a kept file, which its name ends in."""
    return path.suffix[1:]


def put(path: Path, place: Path) -> None:
    """A copy of a kept file at a place in an out."""
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, place)


def packed(batch: pa.RecordBatch) -> bytes:
    """A batch as bytes for `unpacked`, to be kept: quick to make and to read, not small."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as file:
        file.write(batch)
    return bytes(sink.getvalue())


def unpacked(path: Path) -> pa.RecordBatch:
    """The batch in a file of such bytes. It stays on disk until it is looked at."""
    return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
