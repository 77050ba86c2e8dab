"""Two versions of a table compared row by row."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

CONTENT = ("text", "inputs", "target")  # the content of a row of the documents or the examples
FIRST = 3  # ids that are listed


@dataclass(frozen=True)
class Ids:
    """The number of ids, and the first of them."""

    count: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class Moved:
    """The rows of a source that were added, dropped, or have other content under the same id."""

    added: Ids
    dropped: Ids
    changed: Ids


def moved(before: Iterable[Path], now: Iterable[Path]) -> dict[str, Moved]:
    """The changes to the rows in Parquet files, by source; memory holds a digest of each row."""
    old, new = _digests(before), _digests(now)
    found: dict[str, tuple[list[str], list[str], list[str]]] = defaultdict(lambda: ([], [], []))
    for row, (source, _) in new.items():
        if row not in old:
            found[source][0].append(row)
    for row, (source, content) in old.items():
        if row not in new:
            found[source][1].append(row)
        elif new[row][1] != content:
            found[source][2].append(row)
    return {
        source: Moved(*(Ids(len(ids), tuple(sorted(ids)[:FIRST])) for ids in found[source])) for source in sorted(found)
    }


def shared(old: pa.Table, new: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The rows of both sides with the same keys; the other columns as `<name> old` and `<name> new`."""
    return old.join(new, list(keys), join_type="inner", left_suffix=" old", right_suffix=" new").sort_by(keys[-1])


def _digests(files: Iterable[Path]) -> dict[str, tuple[str, bytes]]:
    """The source and a digest of the content of each row, by its id."""
    found = {}
    for path in files:
        with pq.ParquetFile(path) as file:
            names = [name for name in CONTENT if name in file.schema_arrow.names]
            for batch in file.iter_batches(columns=["id", "source", *names]):
                for row, source, *content in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    found[row] = source, hashlib.blake2b("\0".join(content).encode(), digest_size=16).digest()
    return found
