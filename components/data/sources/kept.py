"""The records of sources as tables, kept from run to run: what was read before is not read again.

Of each source a file has the rows of the last run as Arrow keeps them in memory, and another one says which file that
is, and where in it the rows of each portion are. A portion is known by its content, the entry of its source and the
code that reads it.
docs/decisions.md, "What was read is kept by its content"
"""

import hashlib
import time
from array import array
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote
from uuid import uuid4

import numpy as np
import pyarrow as pa

from components.core import code
from components.core.errors import StageError
from components.core.kept import CACHE
from components.data.sources.source import Source
from components.data.tables.records import Document, Example, Record, Rejected, dump, row_id

KEPT = CACHE / "ingest"
PLACES = "places.arrow"
DAY = 24 * 60 * 60
ROWS_AT_ONCE = 1000
CHARACTERS_AT_ONCE = 50_000_000
NAMES = ("kind", "id", "text", "language", "inputs", "target", "origin", "file", "row", "reason")
RECORDS = pa.schema([*((name, pa.string()) for name in NAMES), ("size", pa.int64())])
"""A row of each record: its kind is `documents` or a task, null for one that is rejected; a cap counts its size."""
FOUND = pa.schema([("portion", pa.binary(32)), ("start", pa.int64()), ("end", pa.int64())])
READERS = (
    "data/forms",
    "data/parsers",
    "data/sources",
    "data/settings.py",
    "data/tables/records.py",
)  # the code that makes rows

Row = dict[str, Any]


class Extent(NamedTuple):
    """The rows of a portion, from the first to before the last."""

    start: int
    end: int


def batches(source: Source, listed: Mapping[str, str]) -> Generator[pa.RecordBatch, None, None]:
    """The records of a source, in order. What was read is kept, also when an error or the caller ends it early."""
    folder = KEPT / quote(source.name, safe="")
    reader = _Reader(folder)
    with _Writer(folder, reader.path) as writer:
        for batch in _in_order(source, listed, reader, writer):
            writer.write(batch)
            yield batch


def forget_others(sources: Sequence[Source]) -> None:
    """Remove what is kept of sources that are not among these."""
    wanted = {quote(source.name, safe="") for source in sources}
    for folder in KEPT.glob("*"):
        if folder.name not in wanted:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()


def _in_order(
    source: Source, listed: Mapping[str, str], reader: "_Reader", writer: "_Writer"
) -> Iterator[pa.RecordBatch]:
    """Known portions that stand one behind the other come together, and so do small new ones."""
    entry = code.digest(*READERS) + repr(replace(source, cap_mb=None, max_bad_rows=None))
    run, fresh = Extent(0, 0), _Fresh()
    for portion in source.portions(listed):
        digest = hashlib.sha256(f"{entry}\n{portion.content}".encode()).digest()
        place = reader.places.get(digest)
        if place is None:
            yield from reader.batches(run)
            run, before = Extent(0, 0), fresh.made
            try:
                for record in portion.records():
                    yield from fresh.add(_row(source, record))
            except StageError:
                yield from fresh.flush()  # so that the portions before it are kept
                raise
            writer.note(digest, fresh.made - before)
            continue
        yield from fresh.flush()
        if place.start != run.end:
            yield from reader.batches(run)
            run = Extent(place.start, place.start)
        run = Extent(run.start, place.end)
        writer.note(digest, place.end - place.start)
    yield from reader.batches(run)
    yield from fresh.flush()


def _row(source: Source, record: Record | Rejected) -> Row:
    match record:
        case Rejected():
            return record._asdict()
        case Document() if "documents" in source.yields:
            own = source.languages[0] if len(source.languages) == 1 else None
            return {
                "kind": "documents",
                "id": row_id(source.name, record),
                "text": record.text,
                "language": record.language or own,
                "origin": f"{source.origin}#{record.key}",
                "size": len((record.text or "").encode()),
            }
        case Example(task=task) if task in source.yields:
            inputs = dump(record.inputs)
            return {
                "kind": task,
                "id": row_id(source.name, record),
                "inputs": inputs,
                "target": record.target,
                "size": 0 if "documents" in source.yields else len(inputs.encode()),
            }
        case Document():
            return {"kind": "documents"}
        case _:
            return {"kind": record.task}


class _Fresh:
    """Rows that were just made, until there are enough for a batch."""

    def __init__(self) -> None:
        self.made = 0  # in all
        self._rows: list[Row] = []
        self._characters = 0

    def add(self, row: Row) -> Iterator[pa.RecordBatch]:
        self.made += 1
        self._rows.append(row)
        self._characters += len(row.get("text") or "") + len(row.get("inputs") or "")
        if len(self._rows) == ROWS_AT_ONCE or self._characters > CHARACTERS_AT_ONCE:
            yield from self.flush()

    def flush(self) -> Iterator[pa.RecordBatch]:
        if self._rows:
            batch = pa.RecordBatch.from_pylist(self._rows, RECORDS)
            self._rows, self._characters = [], 0
            yield batch


class _Reader:
    """What the last run kept; nothing where it kept none."""

    def __init__(self, folder: Path) -> None:
        self.places: dict[bytes, Extent] = {}
        self.path: Path | None = None
        with suppress(FileNotFoundError):  # also where another run has replaced it just now
            found = pa.ipc.open_file((folder / PLACES).read_bytes()).read_all()
            path = folder / _rows_of(found)
            self._rows = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            self.path = path
            columns = (found[name].to_pylist() for name in FOUND.names)
            self.places = {portion: Extent(start, end) for portion, start, end in zip(*columns, strict=True)}

    def batches(self, place: Extent) -> Iterator[pa.RecordBatch]:
        if place.end > place.start:
            yield from self._rows.slice(place.start, place.end - place.start).to_batches()


def _rows_of(found: pa.Table) -> str:
    """The name of the file in which places are."""
    return str(found.schema.metadata[b"rows"].decode())


class _Writer:
    """Writes what the next run can read; of portions whose rows were not all written nothing is known then.

    Worktrees share the folder, so that each run has a file of rows of its own, and only the small file is replaced.
    """

    def __init__(self, folder: Path, before: Path | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = f"{uuid4().hex}.rows.arrow"
        self._rows = pa.ipc.new_file(folder / self._name, RECORDS)
        self._written = 0
        self._portions: list[bytes] = []
        self._ends = array("q")  # the rows of a portion end where those of the next begin
        self._before = before

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.close()
        ends = np.array(self._ends, np.int64)
        complete = int(np.searchsorted(ends, self._written, side="right"))
        starts = np.r_[0, ends][:complete]
        places = [pa.array(self._portions[:complete], pa.binary(32)), pa.array(starts), pa.array(ends[:complete])]
        part = self._folder / f"{self._name}.part"
        schema = FOUND.with_metadata({"rows": self._name})
        with pa.ipc.new_file(part, schema) as file:
            file.write(pa.RecordBatch.from_arrays(places, schema=schema))
        part.replace(self._folder / PLACES)
        self._remove_others()

    def _remove_others(self) -> None:
        """Remove the rows of earlier runs: at once those of the one before, after a day those of killed ones."""
        for path in self._folder.glob("*.rows.arrow*"):
            with suppress(FileNotFoundError):
                if path.name != self._name and (path == self._before or time.time() - path.stat().st_mtime > DAY):
                    path.unlink()

    def write(self, batch: pa.RecordBatch) -> None:
        self._rows.write(batch)
        self._written += len(batch)

    def note(self, portion: bytes, rows: int) -> None:
        self._portions.append(portion)
        self._ends.append((self._ends[-1] if self._ends else 0) + rows)
