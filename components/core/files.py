"""The state folder, and atomic writes of files."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

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


def sha256(*paths: Path) -> str:
    """The sha256 of the contents of files, one after the other, in hexadecimal."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as content:
            while piece := content.read(1 << 24):
                total.update(piece)
    return total.hexdigest()


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, content: object) -> None:
    """Write a JSON file that people can read, the same for the same content."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
