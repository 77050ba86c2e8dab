"""Metrics on disk: a training run logs to a file first, and from there to MLflow.

A file covers one start of a stage, as lines of JSON: which run it belongs to, then metrics and texts as they come,
finally how it ended. The stage holds a lock on it until it ends. Names begin with the time, so that sorting them
gives the order of the starts.
"""

import fcntl
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from components.core.files import STATE

SPOOLS = STATE / "metrics"

log = logging.getLogger("lmforge")

SpoolEntry = dict[str, Any]


class Spool:
    """The file of a running stage. Lines reach the system at once, and so survive a kill of the process."""

    def __init__(self, stage: str, key: str, params: Mapping[str, str]) -> None:
        SPOOLS.mkdir(parents=True, exist_ok=True)
        self.path = SPOOLS.resolve() / f"{time.time_ns()}-{key[:16]}.jsonl"
        self._file = self.path.open("ab", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._unwritten = b""
        self._append({"stage": stage, "key": key, "params": dict(params)})

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log metrics at an MLflow step."""
        self._append({"step": step, "metrics": dict(metrics)})

    def text(self, name: str, text: str) -> None:
        """Log a text, which becomes an artifact of that name."""
        self._append({"name": name, "text": text})

    def end(self, status: str) -> None:
        """Record how the stage ended: FINISHED, FAILED or KILLED."""
        self._append({"status": status})

    def close(self) -> None:
        """Leave the file to the process that sends the rest of it."""
        self._file.close()

    def _append(self, entry: SpoolEntry) -> None:
        """On a full disk the lines wait in memory until there is space; a truncated line is written again."""
        lines = self._unwritten + _line(entry)
        try:
            cut = self._file.write(lines) < len(lines)
        except OSError as error:
            log.warning("metrics wait in memory, as %s cannot be written: %s", self.path, error.strerror)
            cut = True
        self._unwritten = b"\n" + lines.lstrip() if cut else b""


def append(path: Path, entry: SpoolEntry) -> None:
    """Add an entry to the file of a stage from another process."""
    with path.open("ab", buffering=0) as file:
        file.write(_line(entry))


def read(path: Path, offset: int = 0) -> Iterator[tuple[int, SpoolEntry]]:
    """The complete lines of a file from an offset on, each with the offset after it."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            with suppress(ValueError):  # cut by a full disk
                yield offset, json.loads(line)


def waiting(key: str = "") -> list[Path]:
    """The existing files, of all stages or those of one digest, the oldest first."""
    return sorted(SPOOLS.resolve().glob(f"*-{key[:16]}*.jsonl"))


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether this process owns the file within the body: its stage has ended, and no other process is sending it."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield path.exists()


def _line(entry: SpoolEntry) -> bytes:
    return json.dumps({"time": int(time.time() * 1000), **entry}).encode() + b"\n"
