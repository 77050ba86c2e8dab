"""The ledger: an append-only log of what was decided about models, by whom and why.

Each line is an entry in canonical JSON (sorted keys, no spaces, ASCII), and its hash is the sha256 of the hash before
it and its own content. So a line that was changed, dropped, inserted or moved breaks the chain where it happened.
A chain alone cannot show that its end was cut off: the registry stores the `Head` that it knows.
docs/decisions.md, "A chain of hashes in a file, and no signatures"
"""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

from components.core.errors import TryAgain
from components.core.files import STATE, flush

LEDGER = STATE / "ledger" / "ledger.jsonl"

Kind = Literal["start", "decision", "approval", "rejection", "promotion", "rollback", "canary", "repair"]

NOTHING = "0" * 64
"""The previous hash of the first entry."""

_TYPES = {"sequence": int, "time": str, "kind": str, "model": str, "details": dict, "previous": str, "hash": str}


@dataclass(frozen=True)
class Entry:
    """One line: the `sequence`-th, counted from 1, written at `time` (ISO 8601, UTC) about a registered model."""

    sequence: int
    time: str
    kind: str
    model: str
    details: Mapping[str, Any]
    previous: str
    hash: str

    @classmethod
    def of(cls, sequence: int, kind: Kind, model: str, details: Mapping[str, Any], previous: str) -> Self:
        """An entry with the current time and its hash."""
        time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        entry = cls(sequence, time, kind, model, details, previous, "")
        return cls(sequence, time, kind, model, details, previous, entry.digest())

    @classmethod
    def parse(cls, line: bytes) -> "Entry | None":
        """The entry in a line, or None when the line is not an entry."""
        try:
            content = json.loads(line)
        except ValueError:
            return None
        kinds = {name: type(value) for name, value in content.items()} if isinstance(content, dict) else {}
        return cls(**content) if kinds == _TYPES else None

    def digest(self) -> str:
        """The hash that the entry should have."""
        content = {name: value for name, value in asdict(self).items() if name not in ("previous", "hash")}
        return hashlib.sha256((self.previous + _canonical(content)).encode()).hexdigest()

    def line(self) -> bytes:
        """The entry as a line of the file."""
        return (_canonical(asdict(self)) + "\n").encode()


@dataclass(frozen=True)
class Head:
    """The last entry about a model that the registry knows."""

    sequence: int
    hash: str

    def __str__(self) -> str:
        return f"{self.sequence} {self.hash}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse what `str` returned."""
        sequence, _, digest = text.partition(" ")
        return cls(int(sequence), digest)


@dataclass(frozen=True)
class Fault:
    """A fault of the ledger: the number of the line in the file, and what is wrong there."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


class Ledger:
    """The ledger, locked against other writers: the entries of one model, and appending to them."""

    def __init__(self, file: BinaryIO, model: str) -> None:
        self.model = model
        self._file = file
        content = file.read()
        self._end = content.rfind(b"\n") + 1
        self._all = _entries(content[: self._end])
        if self._end < len(content):
            self._cut_off(content[self._end :])

    @property
    def entries(self) -> list[Entry]:
        """The entries about the model, the oldest first."""
        return [entry for entry in self._all if entry.model == self.model]

    def append(self, kind: Kind, details: Mapping[str, Any]) -> Entry:
        """Append an entry and sync it to disk. Raises `TryAgain` when there is no space for it."""
        last = self._all[-1] if self._all else None
        entry = Entry.of(last.sequence + 1 if last else 1, kind, self.model, details, last.hash if last else NOTHING)
        try:
            whole = self._file.write(entry.line()) == len(entry.line())
            os.fsync(self._file.fileno())
        except OSError:
            whole = False
        if not whole:
            self._file.truncate(self._end)
            raise TryAgain(f"the ledger cannot be written: free some space for {self._file.name}; nothing was changed")
        self._end += len(entry.line())
        self._all.append(entry)
        return entry

    def _cut_off(self, rest: bytes) -> None:
        """Cut off half a line that a crash left, after which nothing can follow, and record it in its place."""
        self._file.truncate(self._end)
        text = rest.decode(errors="backslashreplace")
        self.append("repair", {"reason": "the last line was half written, and was cut off", "cut_off": text})


@contextmanager
def opened(model: str, path: Path = LEDGER) -> Iterator[Ledger]:
    """Open the ledger to append entries about a model, waiting for any other process that does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        ledger = Ledger(file, model)
        if not ledger.entries:  # the names of file and folder may be new
            flush(path.parent)
            flush(path.parent.parent)
        yield ledger


@contextmanager
def at_rest(path: Path = LEDGER) -> Iterator[None]:
    """Keep other processes from appending to the ledger within the body."""
    with path.open("rb") if path.exists() else nullcontext() as file:
        if file:
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


def read(path: Path = LEDGER) -> list[Entry]:
    """All entries, the oldest first; lines that are not entries are skipped, and reported by `verify`."""
    return _entries(path.read_bytes()) if path.exists() else []


def verify(heads: Mapping[str, Head], path: Path = LEDGER) -> list[Fault]:
    """All faults from lines that were changed, dropped, inserted, moved or cut off, in the order of the lines.

    `heads` are the last entries that the registry knows, by model.
    """
    lines = _lines(path.read_bytes()) if path.exists() else []
    return sorted([*_broken(lines), *_unlike(lines, heads)], key=lambda fault: fault.line)


def _broken(lines: list[bytes]) -> Iterator[Fault]:
    """The faults of the chain itself."""
    wanted, link = 1, NOTHING
    for number, line in enumerate(lines, start=1):
        entry = Entry.parse(line)
        if not entry or entry.line() != line or entry.digest() != entry.hash:
            yield Fault(number, "changed, or half written")
            wanted, link = wanted + 1, ""
            continue
        if entry.sequence != wanted:
            how = "lines were dropped" if entry.sequence > wanted else "it was inserted"
            yield Fault(
                number, f"entry {entry.sequence} is where entry {wanted} should be: {how}, or the order changed"
            )
        elif link and entry.previous != link:
            yield Fault(number - 1, "replaced: the next line was written after another one")
        wanted, link = entry.sequence + 1, entry.hash


def _unlike(lines: list[bytes], heads: Mapping[str, Head]) -> Iterator[Fault]:
    """Faults against the entries that the registry knows."""
    known: dict[int, tuple[int, str | None]] = {}
    for number, line in enumerate(lines, start=1):
        entry = Entry.parse(line)
        if entry:
            known.setdefault(entry.sequence, (number, entry.hash))
    for model, head in sorted(heads.items()):
        number, digest = known.get(head.sequence, (len(lines) + 1, None))
        if digest is None:
            yield Fault(number, f"missing: the registry knows entry {head.sequence} about {model}")
        elif digest != head.hash:
            yield Fault(number, f"replaced: the registry knows another entry {head.sequence} about {model}")


def _entries(content: bytes) -> list[Entry]:
    return [entry for line in _lines(content) if (entry := Entry.parse(line))]


def _lines(content: bytes) -> list[bytes]:
    """The lines with their ends; unlike `splitlines`, which also splits at other characters."""
    return re.findall(rb"[^\n]*\n|[^\n]+$", content)


def _canonical(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
