"""The files of kept answers and feedback: Parquet, of limited size, the oldest leave; one writer at a time.

Each table is a folder of files `<nanoseconds>.parquet`. The last one is written anew with each batch, and replaced at
once, so that a reader, also one after a crash, finds whole files.
docs/decisions.md, "Kept answers are Parquet that is written anew"
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.files import STATE, write_atomically

FOLDER = STATE / "requests"

ANSWERS = "answers"
FEEDBACK = "feedback"

_TIME = pa.timestamp("us", "UTC")
SCHEMAS = {
    ANSWERS: pa.schema(
        [
            ("id", pa.string()),
            ("choice", pa.int32()),  # of the answers of the request
            ("time", _TIME),
            ("route", pa.string()),
            ("task", pa.string()),
            ("model", pa.string()),
            ("version", pa.int32()),
            ("digest", pa.string()),
            ("seconds", pa.float64()),
            ("prompt_tokens", pa.int32()),
            ("answer_tokens", pa.int32()),
            ("finish_reason", pa.string()),
            ("prompt", pa.string()),  # the turns as JSON
            ("answer", pa.string()),
            ("user", pa.string()),  # a pseudonym
        ]
    ),
    FEEDBACK: pa.schema(
        [
            ("id", pa.string()),
            ("choice", pa.int32()),
            ("time", _TIME),
            ("thumb", pa.string()),  # up, down or null
            ("corrected", pa.string()),
            ("consent", pa.bool_()),  # that the corrected answer is trained on
            ("user", pa.string()),
        ]
    ),
}
FORGOTTEN = "forgotten.json"
REMEMBERED = timedelta(days=1)  # who was forgotten, as a server may still hold rows from before


@dataclass(frozen=True)
class Limits:
    """Bytes of one file, and of all files of a table."""

    file: float
    table: float


def append(folder: Path, table: str, new: pa.Table, limits: Limits) -> int:
    """Add rows to a table, without those of users who were forgotten meanwhile; returns how many. Raises `OSError`."""
    with locked(folder):
        new = _without_forgotten(folder, new)
        found = paths(folder, table)
        path = folder / table / f"{time.time_ns()}.parquet"
        before = SCHEMAS[table].empty_table()
        if found and found[-1].stat().st_size < limits.file:
            path, before = found[-1], pq.read_table(found[-1], schema=SCHEMAS[table])
        replace(path, pa.concat_tables([before, new]))
        _drop_oldest(paths(folder, table), limits.table)
    return int(new.num_rows)


def read(folder: Path, table: str) -> pa.Table:
    """All rows of a table, the oldest first."""
    with locked(folder):
        return rows(folder, table)


def rows(folder: Path, table: str) -> pa.Table:
    """The same of a folder that is locked already."""
    parts = [pq.read_table(path, schema=SCHEMAS[table]) for path in paths(folder, table)]
    return pa.concat_tables(parts) if parts else SCHEMAS[table].empty_table()


def has(folder: Path, identity: str, choice: int) -> bool:
    """Whether an answer is kept."""
    wanted = (pc.field("id") == identity) & (pc.field("choice") == choice)
    with locked(folder):
        return any(
            pq.read_table(path, columns=["id"], filters=wanted).num_rows for path in reversed(paths(folder, ANSWERS))
        )


def paths(folder: Path, table: str) -> list[Path]:
    """The files of a table, the oldest first."""
    return sorted((folder / table).glob("*.parquet"))


def replace(path: Path, content: pa.Table) -> None:
    """Write a file, all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")  # hidden, so that readers of the folder pass it by
    try:
        pq.write_table(content, part, compression="zstd")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Wait until no other process writes, and keep it so."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def remember_forgotten(folder: Path, user: str) -> None:
    """Note that the rows of a user from before now have to go, wherever they are; the folder has to be locked."""
    now = datetime.now(UTC)
    known = {name: when for name, when in _forgotten(folder).items() if when > now - REMEMBERED}
    content = {name: when.isoformat() for name, when in {**known, user: now}.items()}
    write_atomically(folder / FORGOTTEN, json.dumps(content))


def _forgotten(folder: Path) -> Mapping[str, datetime]:
    path = folder / FORGOTTEN
    content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {name: datetime.fromisoformat(when) for name, when in content.items()}


def _without_forgotten(folder: Path, new: pa.Table) -> pa.Table:
    for user, when in _forgotten(folder).items():
        gone = pc.and_(pc.equal(new["user"], user), pc.less_equal(new["time"], pa.scalar(when, _TIME)))
        new = new.filter(pc.invert(pc.fill_null(gone, False)))
    return new


def _drop_oldest(found: list[Path], limit: float) -> None:
    sizes = [path.stat().st_size for path in found]
    for place, path in enumerate(found[:-1]):
        if sum(sizes[place:]) <= limit:
            return
        path.unlink()
