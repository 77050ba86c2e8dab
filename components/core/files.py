"""The state folder, and files that are never met half written."""

import os
from pathlib import Path

STATE = Path(".lmforge")
"""What is not the project's history: databases, logs, exit codes, downloads. Git ignores it."""


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def flush(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to the disk, so that they survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
