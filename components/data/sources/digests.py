"""The sha256 of local files, cached by path, size, modification time and inode.

So of a large folder only new files are read.
"""

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from components.core.files import STATE, sha256, write_atomically

KEPT = STATE / "listing" / "digests.json"

Signature = tuple[int, int, int]

_SETTLED = 1_000_000_000  # nanoseconds; a file written more recently could be written again with the same timestamp


def signature(path: Path) -> Signature:
    """A signature that changes with the content: size in bytes, modification time in nanoseconds, inode."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """The sha256 of each file, by its path."""
    kept = _read()
    found, new = {}, {}
    for path in paths:
        now, name = signature(path), os.path.realpath(path)
        before, known = kept.get(name, (None, ""))
        found[str(path)] = known if before == now else sha256(path)
        if before != now and time.time_ns() - now[1] > _SETTLED:
            new[name] = now, found[str(path)]
    if new:
        write_atomically(KEPT, json.dumps({name: (*now, known) for name, (now, known) in (_read() | new).items()}))
    return found


def _read() -> dict[str, tuple[Signature, str]]:
    with suppress(FileNotFoundError):
        kept = json.loads(KEPT.read_text(encoding="utf-8"))
        return {name: ((size, changed, inode), known) for name, (size, changed, inode, known) in kept.items()}
    return {}
