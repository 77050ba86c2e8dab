"""Tables as folders of Parquet shards: the same rows give the same bytes, and only a batch of rows is in memory."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS_PER_SHARD = 20_000
ROWS_PER_BATCH = 1_000
CHARACTERS_PER_BATCH = 50_000_000  # of long documents fewer rows make a batch, so that it stays far below Arrow's 2 GB


class ShardWriter:
    """Writes rows to `part-00000.parquet`, `part-00001.parquet`, … of a folder.

    A table without rows still gets one shard, so that its readers find the columns.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._schema = schema
        self._rows: list[dict[str, Any]] = []
        self._batches: list[pa.RecordBatch] = []
        self._waiting = 0  # rows of both
        self._characters = 0  # in those rows
        self._written = 0  # rows of the open shard
        self._shards = 1
        self._shard = self._open(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        self._shard.close()

    def write(self, row: dict[str, Any]) -> None:
        """Add a row, given as a dict of the schema's columns."""
        self._rows.append(row)
        self._count(1, sum(len(value) for value in row.values() if isinstance(value, str)))

    def extend(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch with the columns of the schema, all of them strings."""
        lengths = sum(pc.fill_null(pc.utf8_length(column), 0).to_numpy() for column in batch.columns)
        start = 0
        while start < len(batch):
            sums = self._characters + np.cumsum(lengths[start : start + ROWS_PER_BATCH - self._waiting])
            taken = min(int(np.searchsorted(sums, CHARACTERS_PER_BATCH, side="right")) + 1, len(sums))
            self._batches.append(batch.slice(start, taken))
            self._count(taken, int(sums[taken - 1]) - self._characters)
            start += taken

    def _count(self, rows: int, characters: int) -> None:
        self._waiting += rows
        self._characters += characters
        if self._waiting == ROWS_PER_BATCH or self._characters > CHARACTERS_PER_BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._waiting:
            return
        if self._written + self._waiting > ROWS_PER_SHARD:
            self._shard.close()
            self._shard, self._written = self._open(self._shards), 0
            self._shards += 1
        rows = [pa.RecordBatch.from_pylist(self._rows, self._schema)] if self._rows else []
        self._shard.write_batch(pa.concat_batches([*self._batches, *rows]))
        self._written += self._waiting
        self._rows, self._batches, self._waiting, self._characters = [], [], 0, 0

    def _open(self, number: int) -> pq.ParquetWriter:
        return pq.ParquetWriter(self._folder / f"part-{number:05d}.parquet", self._schema, compression="zstd")


class RowGroup(NamedTuple):
    """A batch of rows on disk: the unit of work for other processes."""

    path: Path
    number: int


def row_groups(folder: Path) -> list[RowGroup]:
    """The row groups of a folder of shards, in order."""
    paths = sorted(folder.glob("part-*.parquet"))
    return [RowGroup(path, number) for path in paths for number in range(pq.read_metadata(path).num_row_groups)]


def read(group: RowGroup) -> pa.RecordBatch:
    """The rows of a row group."""
    with pq.ParquetFile(group.path) as shard:
        return shard.read_row_group(group.number).combine_chunks().to_batches()[0]


def batches(folder: Path) -> Iterator[pa.RecordBatch]:
    """The record batches of a folder of shards, in order, one in memory at a time."""
    yield from map(read, row_groups(folder))


def write_batch(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    """Write rows for `read_batch`, as the processes of a stage hand them on: quick to write and to read, not small."""
    with pa.ipc.new_file(path, schema) as file:
        file.write(pa.RecordBatch.from_pylist(rows, schema))


def read_batch(path: Path) -> pa.RecordBatch:
    """The rows that `write_batch` wrote."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).get_batch(0)


@contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """An empty folder for the block, in place of what a killed process left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new folder that replaces `folder` when the block succeeds, and is removed when it fails."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
    except BaseException:
        shutil.rmtree(part)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
