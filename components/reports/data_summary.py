"""A summary of the training data, counted from the prepared tables, and of the rejected rows with their reasons."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.core.files import read_json

SPLITS = ("train", "validation", "test")

SummaryRow = dict[str, Any]


def documents(data: Path) -> list[SummaryRow]:
    """By source, language and licence: documents and bytes of text in each split."""
    keys = ["source", "language", "license"]
    return _by_split(data / "prepared/documents", keys, {"bytes": pc.binary_length(pc.field("text"))})


def examples(data: Path) -> list[SummaryRow]:
    """By task, source and licence: examples in each split."""
    return _by_split(data / "prepared/examples", ["task", "source", "license"], {})


def rejected(data: Path) -> list[SummaryRow]:
    """By table and reason: rejected rows."""
    rows = []
    for table in ("documents", "examples"):
        counts = _read(data / "rejected" / table, {"reason": pc.field("reason")})["reason"].value_counts()
        rows += [{"table": table, "reason": str(c["values"]), "rows": c["counts"].as_py()} for c in counts]
    return sorted(rows, key=lambda row: (row["table"], -row["rows"], row["reason"]))


def masked(data: Path) -> list[SummaryRow]:
    """By table and kind: pieces of personal data that placeholders stand for, and the sources that had them."""
    rows: dict[tuple[str, str], SummaryRow] = {}
    for table, sources in read_json(data / "prepared/masked.json").items():
        for source, kinds in sources.items():
            for kind, count in kinds.items():
                row = rows.setdefault((table, kind), {"table": table, "kind": kind, "pieces": 0, "sources": []})
                row["pieces"] += count
                row["sources"].append(source)
    return sorted(rows.values(), key=lambda row: (row["table"], -row["pieces"], row["kind"]))


def rules(reports: Path) -> list[SummaryRow]:
    """The rules of each validation report, and those that failed."""
    found = []
    for name in ("raw", "prepared"):
        report = json.loads((reports / f"{name}.json").read_text(encoding="utf-8"))
        failed = [rule for rule in report["rules"] if not rule["success"]]
        found.append({"table": name, "success": report["success"], "asked": len(report["rules"]), "failed": failed})
    return found


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
