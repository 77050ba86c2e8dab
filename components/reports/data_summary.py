"""A summary of the training data, counted from the prepared tables."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

SPLITS = ("train", "validation", "test")

SummaryRow = dict[str, Any]


def documents(data: Path) -> list[SummaryRow]:
    """By source, language and licence: documents and bytes of text in each split."""
    keys = ["source", "language", "license"]
    return _by_split(data / "prepared/documents", keys, {"bytes": pc.binary_length(pc.field("text"))})


def examples(data: Path) -> list[SummaryRow]:
    """By task, source and licence: examples in each split."""
    return _by_split(data / "prepared/examples", ["task", "source", "license"], {})


def _by_split(folder: Path, keys: list[str], sums: dict[str, pc.Expression]) -> list[SummaryRow]:
    rows: dict[tuple[str, ...], SummaryRow] = {}
    for split in SPLITS:
        table = _read(folder / split, {key: pc.field(key) for key in keys} | sums)
        totals = table.group_by(keys).aggregate([([], "count_all"), *((name, "sum") for name in sums)])
        for total in totals.to_pylist():
            key = tuple(total[name] for name in keys)
            row = rows.setdefault(key, dict(zip(keys, key, strict=True)) | _zeros("rows", *sums))
            row["rows"][split] = total["count_all"]
            for name in sums:
                row[name][split] = total[f"{name}_sum"]
    return [rows[key] for key in sorted(rows)]


def _zeros(*names: str) -> SummaryRow:
    return {name: dict.fromkeys(SPLITS, 0) for name in names}


def _read(folder: Path, columns: dict[str, pc.Expression]) -> pa.Table:
    return ds.dataset(folder, format="parquet").to_table(columns=columns)
