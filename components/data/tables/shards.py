"""Tables as folders of Parquet shards: the same rows give the same bytes, and only a shard of rows is in memory.

Where a row group and a shard end is decided by the rows themselves, so that a row which is added or removed changes the
shard that it stands in, and no other.
docs/decisions.md, "Tables are cut by their content"
"""

import hashlib
import json
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.core import kept
from components.core.kept import KeptFiles

ROWS_PER_GROUP = 1_000  # on average
BYTES_PER_GROUP = 500_000  # on average, where rows are long
GROUPS_PER_SHARD = 16  # on average
AT_MOST = 4  # times the average, so that a group stays far below Arrow's 2 GB
DIGESTS = b"digests"  # of the row groups, in the metadata of a shard


class ShardWriter:
    """Writes rows to `part-00000.parquet`, `part-00001.parquet`, … of a folder, or copies shards that were kept.

    A table without rows still gets one shard, so that its readers find the columns.
    """

    def __init__(self, folder: Path, schema: pa.Schema, known: KeptFiles | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._schema = schema
        self._kept = known
        self._rows: list[dict[str, Any]] = []
        self._open: list[pa.RecordBatch] = []  # of the group that has not ended
        self._rows_open = self._bytes_open = 0
        self._groups: list[pa.RecordBatch] = []  # of the shard that has not ended
        self._shards = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._take_rows()
            self._end_group()
            if self._groups or not self._shards:
                self._end_shard()

    def write(self, row: dict[str, Any]) -> None:
        """Add a row, given as a dict of the schema's columns."""
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP:
            self._take_rows()

    def _take_rows(self) -> None:
        rows, self._rows = self._rows, []
        self.extend(pa.RecordBatch.from_pylist(rows, self._schema))

    def extend(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch with the columns of the schema, all of them strings."""
        sizes = sum(pc.fill_null(pc.binary_length(column), 0).to_numpy() for column in batch.columns)
        marks = _marks(batch)
        is_end = marks < (1 << 32) * np.maximum(1 / ROWS_PER_GROUP, sizes / BYTES_PER_GROUP)
        start = 0
        for place, (ends, size) in enumerate(zip(is_end.tolist(), np.asarray(sizes).tolist(), strict=True), start=1):
            self._rows_open += 1
            self._bytes_open += size
            if ends or self._rows_open == AT_MOST * ROWS_PER_GROUP or self._bytes_open > AT_MOST * BYTES_PER_GROUP:
                self._open.append(batch.slice(start, place - start))
                self._end_group()
                start = place
                if marks[place - 1] % GROUPS_PER_SHARD == 0 or len(self._groups) == AT_MOST * GROUPS_PER_SHARD:
                    self._end_shard()
        self._open.append(batch.slice(start))

    def _end_group(self) -> None:
        if self._rows_open:
            self._groups.append(pa.concat_batches(self._open))
        self._open, self._rows_open, self._bytes_open = [], 0, 0

    def _end_shard(self) -> None:
        path = self._folder / shard_name(self._shards)
        write = partial(write_shard, groups=self._groups, schema=self._schema)
        if self._kept is None:
            write(path)
        else:
            key = kept.key("shard", self._schema.to_string(), *map(digest, self._groups))
            kept.put(self._kept.find(key) or self._kept.add(key, write), path)
        self._shards += 1
        self._groups = []


def _marks(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """A number below 2**32 of each row, by its id or, in a table without ids, by all of it."""
    names = batch["id"] if "id" in batch.schema.names else pc.binary_join_element_wise(*batch.columns, "\n")
    return np.array([zlib.crc32(name.encode()) for name in pc.fill_null(names, "").to_pylist()], np.int64)


def shard_name(number: int) -> str:
    """The name of a shard in the folder of its table."""
    return f"part-{number:05d}.parquet"


def write_shard(path: Path, groups: Sequence[pa.RecordBatch], schema: pa.Schema) -> None:
    """Write a shard with these row groups."""
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for group in groups:
            file.write_batch(group, row_group_size=max(1, len(group)))
        file.add_key_value_metadata({DIGESTS: json.dumps([*map(digest, groups)])})


def large(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Batches joined until each, but the last, has as many rows or bytes as a row group has on average."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= ROWS_PER_GROUP or sum(part.nbytes for part in waiting) >= BYTES_PER_GROUP:
            yield pa.concat_batches(waiting)
            waiting = []
    if any(map(len, waiting)):
        yield pa.concat_batches(waiting)


def digest(batch: pa.RecordBatch) -> str:
    """The sha256 of the rows of a batch and the names and types of their columns."""
    return hashlib.sha256(batch.schema.to_string().encode() + b"\n" + batch.serialize()).hexdigest()


class RowGroup(NamedTuple):
    """A batch of rows on disk: the unit of work for other processes. Equal rows have equal digests."""

    path: Path
    number: int
    digest: str


def row_groups(folder: Path) -> list[RowGroup]:
    """The row groups of a folder of shards, in order."""
    return [group for path in _shards(folder) for group in groups_of(path)]


def groups_of(path: Path) -> list[RowGroup]:
    """The row groups of a shard, in order."""
    digests = json.loads(pq.read_metadata(path).metadata[DIGESTS])
    return [RowGroup(path, number, digest) for number, digest in enumerate(digests)]


def read(group: RowGroup) -> pa.RecordBatch:
    """The rows of a row group."""
    with pq.ParquetFile(group.path) as shard:
        (batch,) = _row_group(shard, group.number)
    return batch


def _row_group(shard: pq.ParquetFile, number: int) -> list[pa.RecordBatch]:
    """One batch, or none where a group has no rows."""
    batches: list[pa.RecordBatch] = shard.read_row_group(number).combine_chunks().to_batches()
    return batches


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def batches(folder: Path) -> Iterator[pa.RecordBatch]:
    """The record batches of a folder of shards, in order, one in memory at a time."""
    for path in _shards(folder):
        with pq.ParquetFile(path) as shard:
            for number in range(shard.num_row_groups):
                yield from _row_group(shard, number)


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
