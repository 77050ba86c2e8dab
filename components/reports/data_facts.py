"""What became of the rows of the sources, counted from the tables and manifests that the stages wrote."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.core.files import read_json
from components.data import takedown
from components.data.privacy.masking import mask
from components.data.tables.records import ROWS, SCHEMAS, SPLITS, main_text

COPIES = ("duplicate", "near duplicate")
TEST = "in "  # how the reason begins of rows that have the text of a test in them
STEPS = ("cleaned", "copied", "tested")
EXAMPLES = 2  # rows shown of each reason
SHOWN = 160  # characters of a text
LARGEST = 4  # clusters shown

Fact = dict[str, Any]


class Funnel(NamedTuple):
    """The rows of a table after each step; a long document is divided into parts before it is cleaned."""

    read: int
    divided: int
    lost: Mapping[str, int]  # step -> rows that left there
    splits: Mapping[str, int]


def funnel(data: Path, table: str) -> Funnel:
    """The way of the rows of `documents` or `examples`."""
    lost = Counter[str]()
    for reason, rows in _counted(data / "rejected" / table, "reason").items():
        lost[step(reason)] += rows
    splits = {split: _rows(data / "prepared" / table / split) for split in SPLITS}
    divided = sum(splits.values()) + sum(lost.values())
    raw = data / "raw" / table
    return Funnel(_rows(raw) if raw.exists() else divided, divided, {name: lost[name] for name in STEPS}, splits)


def step(reason: str) -> str:
    """The step at which a row left for a reason: as not clean, as a copy, or because of a test."""
    if reason in COPIES:
        return "copied"
    return "tested" if reason.startswith(TEST) else "cleaned"


def by_source(data: Path) -> dict[str, Counter[str]]:
    """Source -> the rows of both tables that were kept, that left at each step, and that could not be read."""
    found: dict[str, Counter[str]] = {}
    for table in SCHEMAS:
        for split in SPLITS:
            for source, rows in _counted(data / "prepared" / table / split, "source").items():
                found.setdefault(source, Counter())["kept"] += rows
        for (source, reason), rows in _pairs(data / "rejected" / table, "source", "reason"):
            found.setdefault(source, Counter())[step(reason)] += rows
    for source, rows in _counted(data / "rejected" / ROWS, "source").items():
        found.setdefault(source, Counter())["unread"] += rows
    return dict(sorted(found.items(), key=lambda entry: -entry[1].total()))


def unreadable(folder: Path) -> list[Fact]:
    """The rows of each source that could not be read, with the first reasons."""
    table = _table(folder, ["source", "file", "row", "reason"]).to_pylist()
    found: dict[str, Fact] = {}
    for row in table:
        fact = found.setdefault(row["source"], {"source": row["source"], "rows": 0, "examples": []})
        fact["rows"] += 1
        if len(fact["examples"]) < EXAMPLES:
            fact["examples"].append(f"{row['file']}, row {row['row']}: {_excerpt(row['reason'])}")
    return sorted(found.values(), key=lambda fact: -fact["rows"])


def reasons(data: Path) -> list[Fact]:
    """By table and reason: the rows that `prepare` dropped, in which languages, and the first ones.

    Their texts are without personal data.
    """
    found: dict[tuple[str, str], Fact] = {}
    for table in SCHEMAS:
        shown_columns = ["text", "language"] if table == "documents" else ["inputs"]
        text = shown_columns[0]
        for row in _batched(data / "rejected" / table, ["source", "reason", "value", "similarity", *shown_columns]):
            key = (table, row["reason"])
            empty = {"table": table, "reason": row["reason"], "rows": 0, "languages": Counter(), "examples": []}
            fact = found.setdefault(key, empty)
            fact["rows"] += 1
            fact["languages"].update([row["language"]] if row.get("language") else [])
            if len(fact["examples"]) < EXAMPLES and row["reason"] != takedown.REASON:
                shown = row[text] if table == "documents" else main_text(json.loads(row[text])) or ""
                fact["examples"].append(
                    {name: row[name] for name in ("source", "similarity", "value")} | {"text": _excerpt(shown)}
                )
    return sorted(found.values(), key=lambda fact: -fact["rows"])


def texts(data: Path) -> pa.Table:
    """Source, language, licence and bytes of each document that was kept."""
    columns = {name: pc.field(name) for name in ("source", "language", "license")}
    lengths = {"bytes": pc.binary_length(pc.field("text"))}
    return _documents(data).to_table(columns=columns | lengths)


def totals(table: pa.Table, column: str, value: str = "bytes") -> list[tuple[str, int, int]]:
    """The values of a column with the sum of another one and the rows of each, the largest first."""
    grouped = table.group_by(column).aggregate([(value, "sum"), ([], "count_all")]).to_pylist()
    found = [(str(row[column]), row[f"{value}_sum"], row["count_all"]) for row in grouped]
    return sorted(found, key=lambda entry: -entry[1])


def lengths(table: pa.Table) -> list[tuple[str, int, int]]:
    """By their bytes, in buckets each four times as wide as the one before: how many documents, and their bytes."""
    rows, sizes = Counter[int](), Counter[int]()
    for size in table["bytes"].to_pylist():
        rows[_bucket(size)] += 1
        sizes[_bucket(size)] += size
    powers = range(min(rows), max(rows) + 1) if rows else range(0)
    return [(_size(4**power), rows[power], sizes[power]) for power in powers]


def _bucket(size: int) -> int:
    power = 0
    while 4**power < size:
        power += 1
    return power


def _size(limit: int) -> str:
    return f"≤{limit}" if limit < 1024 else f"≤{limit >> 10}K" if limit < 1 << 20 else f"≤{limit >> 20}M"


class Copies(NamedTuple):
    """The documents of which copies left."""

    sizes: list[tuple[str, int]]  # members, the kept one among them -> clusters
    similarities: list[tuple[str, int]]  # of near copies to the kept one, from this figure to the next
    largest: list[Fact]


def clusters(data: Path) -> Copies:
    """How large the clusters of equal and near documents are, how alike, and the largest, without personal data."""
    table = _table(data / "rejected/documents", ["reason", "same_as", "similarity"])
    copies = table.filter(pc.is_in(table["reason"], pa.array(COPIES)))
    members = Counter(copies["same_as"].to_pylist())
    sizes = Counter(min(5, rows + 1) for rows in members.values())
    near = [row["similarity"] for row in copies.to_pylist() if row["reason"] == COPIES[1]]
    alike = Counter(min(19, int(value * 20 + 1e-9)) for value in near)
    first = dict(members.most_common(LARGEST))
    is_first = pc.field("id").isin(pa.array(list(first), pa.string()))  # typed, as there may be none
    kept = _documents(data).to_table(columns=["id", "source", "text"], filter=is_first)
    shown = [
        {"members": first[row["id"]] + 1, "source": row["source"], "text": _excerpt(row["text"])}
        for row in kept.to_pylist()
    ]
    steps = range(min(alike, default=20), 20)
    return Copies(
        [(f"{size}" if size < 5 else "5 and more", sizes[size]) for size in range(2, 6)] if members else [],
        [(f"{step / 20:.2f}", alike[step]) for step in steps],
        sorted(shown, key=lambda fact: -fact["members"]),
    )


def tally(file: Path) -> dict[str, Counter[str]]:
    """Source -> how much of each kind was found in its rows, in both tables; the source with the most first."""
    found: dict[str, Counter[str]] = {}
    for sources in read_json(file).values():
        for source, kinds in sources.items():
            if kinds:
                found.setdefault(source, Counter()).update(kinds)
    return dict(sorted(found.items(), key=lambda entry: -entry[1].total()))


def _documents(data: Path) -> ds.Dataset:
    return ds.dataset([str(path) for split in SPLITS for path in _shards(data / "prepared/documents" / split)])


def _excerpt(text: str) -> str:
    """The beginning of a text; personal data are masked before it is cut."""
    plain = " ".join(mask(text[: 20 * SHOWN]).text.split())
    return plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}…"


def _rows(folder: Path) -> int:
    return int(ds.dataset(folder, format="parquet").count_rows())


def _counted(folder: Path, column: str) -> dict[str, int]:
    counts = _table(folder, [column])[column].value_counts()
    return {str(count["values"]): count["counts"].as_py() for count in counts}


def _pairs(folder: Path, *columns: str) -> list[tuple[tuple[str, ...], int]]:
    grouped = _table(folder, list(columns)).group_by(list(columns)).aggregate([([], "count_all")]).to_pylist()
    return [(tuple(row[column] for column in columns), row["count_all"]) for row in grouped]


def _table(folder: Path, columns: list[str]) -> pa.Table:
    return ds.dataset(folder, format="parquet").to_table(columns=columns)


def _batched(folder: Path, columns: list[str]) -> Iterator[Fact]:
    for batch in ds.dataset(folder, format="parquet").to_batches(columns=columns):
        yield from batch.to_pylist()


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))
