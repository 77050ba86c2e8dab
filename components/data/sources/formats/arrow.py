"""Parquet, and Arrow's own files and streams."""

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import BadData
from components.data.sources.datafile import DataFile, Numbered, Unreadable
from components.data.sources.streams import seekable

ROWS = 1000  # in memory at a time
ARROW_FILE = b"ARROW1"


def parquet(file: DataFile) -> Numbered:
    """The rows of a Parquet file."""
    with seekable(file) as stream:
        yield from _rows(_row_groups(stream), file, "Parquet")


def arrow(file: DataFile) -> Numbered:
    """The rows of an Arrow IPC file (Feather) or stream."""
    with seekable(file) as stream:
        yield from _rows(_batches(stream), file, "Arrow")


def _row_groups(stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(stream) as table:
        yield from table.iter_batches(batch_size=ROWS)


def _batches(stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    source = pa.PythonFile(stream, mode="r")
    if bytes(source.read(len(ARROW_FILE))) == ARROW_FILE:
        table = pa.ipc.open_file(source)
        yield from map(table.get_batch, range(table.num_record_batches))
    else:
        source.seek(0)
        yield from pa.ipc.open_stream(source)


def _rows(batches: Iterator[pa.RecordBatch], file: DataFile, kind: str) -> Numbered:
    number = 0
    try:
        for batch in batches:
            names = batch.schema.names
            for values in zip(*map(_values, batch.columns), strict=True):
                number += 1
                yield number, dict(zip(names, values, strict=True))
    except (pa.ArrowException, OSError) as error:
        what = " ".join(str(error).split())
        raise BadData(
            f"{file.shown}, after row {number}: damaged or cut off, not readable as {kind}: {what} "
            "Copy or fetch it again"
        ) from None


def _values(column: pa.Array) -> list[object]:
    """The values of a column; one that Python cannot hold is `Unreadable`, and matters only if it is asked for."""
    try:
        values: list[object] = column.to_pylist()
    except (ValueError, OverflowError):  # UnicodeDecodeError and ArrowInvalid are the former
        values = [_value(scalar) for scalar in column]
    return values


def _value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return Unreadable(f"not UTF-8: {error.reason} at byte {error.start}")
    except (ValueError, OverflowError) as error:
        return Unreadable(f"a {scalar.type} that cannot be read: {error}")
