"""The rows of the prepared tables that are scored: the same ones every time, whatever else is in the tables."""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


@dataclass(frozen=True)
class TaskExample:
    """One row of an examples table, its inputs parsed."""

    id: str
    inputs: dict[str, str]
    target: str


def documents(folder: Path, max_bytes_per_source: int) -> pa.Table:
    """Documents of a split (id, source, language, text, weight): of each source until its limit of bytes is reached.

    They are ordered by their ids, which are hashes: a fair choice that stays the same when rows are added. The weight
    is that of the source: the bytes of all its documents in the split over those of its documents here.
    """
    table = pq.read_table(folder, columns=["id", "source", "language", "text"], partitioning=None)
    table = table.sort_by([("source", "ascending"), ("id", "ascending")])
    sources, sizes = table["source"].to_pylist(), pc.binary_length(table["text"]).to_pylist()
    used: dict[str, int] = defaultdict(int)
    scored: dict[str, int] = defaultdict(int)
    kept = []
    for source, size in zip(sources, sizes, strict=True):
        kept.append(used[source] < max_bytes_per_source)
        used[source] += size
        scored[source] += size * kept[-1]
    found = table.filter(pa.array(kept, pa.bool_()))
    weights = [used[source] / scored[source] for source in found["source"].to_pylist()]
    return found.append_column("weight", pa.array(weights, pa.float64()))


def examples(folder: Path, task: str, limit: int | None = None) -> list[TaskExample]:
    """Examples of a task from a split, in the order of their ids, at most `limit`."""
    columns = ["id", "inputs", "target"]
    table = pq.read_table(folder, columns=columns, filters=[("task", "=", task)], partitioning=None)
    rows = table.sort_by("id").slice(0, limit).to_pylist()
    return [TaskExample(row["id"], json.loads(row["inputs"]), row["target"]) for row in rows]
