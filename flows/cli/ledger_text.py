"""The ledger as terminal output: one line per entry, and the result of a verification."""

from collections.abc import Iterator
from datetime import datetime

from components.registry import ledger
from components.registry.ledger import Entry
from components.registry.transaction import LedgerCheck


def as_json() -> Iterator[str]:
    """Every entry as it stands in the file, the oldest first."""
    return (entry.line().decode().rstrip() for entry in ledger.read())


def lines() -> Iterator[str]:
    """Every entry in words, the oldest first: number, local time, model, kind, version, who, why."""
    entries = ledger.read()
    yield from map(_line, entries) if entries else ["nothing was decided yet"]


def verdict(found: LedgerCheck) -> Iterator[str]:
    """The result of a verification, in words."""
    yield from map(str, found.faults)
    if found.unfinished:
        entry = found.unfinished
        yield f"entry {entry.sequence} ({entry.kind}) was interrupted: the next command that writes finishes it"
    yield f"{found.entries} entries: " + ("the ledger does not hold" if found.faults else "the ledger holds")


def _line(entry: Entry) -> str:
    details = entry.details
    when = datetime.fromisoformat(entry.time).astimezone()
    numbers = [str(details[key]) for key in ("from", "version") if details.get(key)]
    version = f"version {' -> '.join(numbers)}" if numbers else ""
    why = " ".join(str(details.get("reason", "")).split())
    who = f"{details['by']}: " if "by" in details else ""
    what = f"{entry.model}  {entry.kind:<9}  {version:<15}  {who}{why}"
    return f"{entry.sequence:>4}  {when:%Y-%m-%d %H:%M}  {what}".rstrip()
