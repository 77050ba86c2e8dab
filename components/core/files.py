"""The state folder, and atomic writes of files."""

import os
from pathlib import Path

STATE = Path(".lmforge")
"""Files that are not part of the project's history: databases, logs, exit codes, downloads. Git ignores them."""


def write_atomically(path: Path, text: str) -> None:
    """Write a file atomically: a reader, also one after a crash, never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def flush(path: Path) -> None:
    """Sync a file's content, or the names in a folder, to disk, so that they survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
