"""Stage `ingest`: pinned sources become the raw tables of documents and examples."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.core import params, stage
from components.core.errors import BadData, BadSettings
from components.core.kept import CACHE, KeptFiles
from components.core.params import suggest
from components.core.progress import track
from components.data import listing
from components.data.settings import Ingest
from components.data.sources import catalog, kept
from components.data.sources.source import Source
from components.data.tables.records import REJECTED_ROWS, ROWS, SCHEMAS, Rejected
from components.data.tables.shards import ShardWriter, replacing

RAW = Path("data/raw")
SHARDS = CACHE / "raw"
MEGABYTE = 1_000_000
BYTES, BAD = "bytes", "bad"  # what is counted beside the rows of each kind
BAD_SHOWN = 3  # of the rows of a source that end a run


def accepted(sources: list[Source], licenses: tuple[str, ...]) -> list[Source]:
    """The sources with an accepted licence; each other one is printed. Raises `BadSettings` when none is left."""
    for source in sources:
        if source.license not in licenses:
            print(f"{source.name}: off, its licence {source.license} is not among ingest.licenses", flush=True)
    kept = [source for source in sources if source.license in licenses]
    if not kept:
        raise BadSettings("params.yaml: ingest.licenses accepts no source of the catalogue")
    return kept


def wanted(sources: list[Source], take: tuple[str, ...]) -> list[Source]:
    """The sources with only those `yields` that are taken; others are printed. Raises `BadSettings` if none is left."""
    for kind in sorted({kind for source in sources for kind in source.yields} - set(take)):
        names = ", ".join(source.name for source in sources if kind in source.yields)
        print(f"{kind} of {names}: off, {kind} is not among ingest.take", flush=True)
    narrowed = [replace(source, yields=tuple(kind for kind in source.yields if kind in take)) for source in sources]
    kept = [source for source in narrowed if source.yields]
    if not kept:
        raise BadSettings("params.yaml: ingest.take names nothing that the sources of the catalogue yield")
    return kept


def check_files(listed: listing.Listing, sources: list[Source]) -> None:
    """Raise `BadSettings` when two sources take the same from the same file, which one of them would lose again."""
    readers: dict[tuple[str, str], str] = {}
    for source in sources:
        for path in listed.get(source.name, {}):
            for kind in source.yields:
                other = readers.setdefault((path, kind), source.name)
                if other != source.name:
                    raise BadSettings(
                        f"source `{source.name}`: {path} is in the source `{other}` too, and both yield {kind}: take "
                        "it out of one of them"
                    )


def ingest(sources: list[Source], listed: listing.Listing, folder: Path, max_bad_rows: float) -> None:
    """Write the tables of the sources to a folder: `documents`, `examples`, and the `rows` that could not be read.

    Of local files only the listed ones are read. Raises `BadData` for a source with a larger share of bad rows.
    """
    shards = KeptFiles(SHARDS)
    with ExitStack() as stack:
        tables = {
            table: stack.enter_context(ShardWriter(folder / table, schema, shards))
            for table, schema in {**SCHEMAS, ROWS: REJECTED_ROWS}.items()
        }
        for source in track(sources, "ingest", len(sources), "sources"):
            limit = max_bad_rows if source.max_bad_rows is None else source.max_bad_rows
            print(f"{source.name}: {_summary(_copy(source, listed.get(source.name, {}), tables, limit))}", flush=True)
    shards.forget_others()
    kept.forget_others(sources)


def _copy(
    source: Source, listed: Mapping[str, str], tables: Mapping[str, ShardWriter], max_bad_rows: float
) -> Counter[str]:
    """Write what the source yields, up to its cap; returns the rows of each kind, and the bytes that the cap counts."""
    counts: Counter[str] = Counter()
    bad: list[Rejected] = []  # the first ones
    others: set[str] = set()
    with closing(kept.batches(source, listed)) as batches:
        for whole in batches:
            batch = _within_cap(source, whole, counts[BYTES])
            counts[BYTES] += pc.sum(batch["size"]).as_py() or 0
            others |= _write(source, batch, tables, counts)
            rejected = batch.filter(pc.is_null(batch["kind"]))
            bad += [Rejected(*row.values()) for row in _shown(rejected, BAD_SHOWN - len(bad))]
            if len(batch) < len(whole):
                _check_cap(source, counts)
                break
    _check_bad(source, counts, bad, max_bad_rows)
    for kind in source.yields:
        if not counts[kind]:
            raise BadSettings(f"{source.where} yields no {kind}; {suggest(kind, [*_kinds(counts), *others])}")
    return counts


def _within_cap(source: Source, batch: pa.RecordBatch, before: int) -> pa.RecordBatch:
    """The rows of a batch before the one with which the source would have more than its cap."""
    if not source.cap_mb:
        return batch
    sums = before + np.cumsum(pc.fill_null(batch["size"], 0).to_numpy())
    return batch.slice(0, int(np.searchsorted(sums, source.cap_mb * MEGABYTE, side="right")))


def _write(source: Source, batch: pa.RecordBatch, tables: Mapping[str, ShardWriter], counts: Counter[str]) -> set[str]:
    """Write the rows of a batch into their tables and count them; returns the kinds that the source does not yield."""
    found = {entry["values"].as_py(): entry["counts"].as_py() for entry in pc.value_counts(batch["kind"])}
    counts[BAD] += found.pop(None, 0)
    counts.update({kind: rows for kind, rows in found.items() if kind in source.yields})
    is_document = pc.equal(batch["kind"], "documents")
    wanted = pc.is_in(batch["kind"], value_set=pa.array(source.yields))
    parts = {
        "documents": pc.and_(wanted, is_document),
        "examples": pc.and_(wanted, pc.invert(is_document)),
        ROWS: pc.is_null(batch["kind"]),
    }
    for table, mask in parts.items():
        tables[table].extend(_columns(source, batch.filter(mask), SCHEMAS.get(table, REJECTED_ROWS)))
    return found.keys() - set(source.yields)


def _columns(source: Source, rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of a table: those of the records, and what is the same for all of a source."""
    same = {"source": source.name, "license": source.license}
    given = [
        pa.repeat(pa.scalar(same[name]), len(rows)) if name in same else rows["kind" if name == "task" else name]
        for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(given, schema=schema)


def _shown(rejected: pa.RecordBatch, rows: int) -> list[dict[str, str]]:
    found: list[dict[str, str]] = rejected.select(["file", "row", "reason"]).slice(0, rows).to_pylist()
    return found


def _check_cap(source: Source, counts: Counter[str]) -> None:
    if not counts[BYTES]:
        raise BadSettings(f"{source.where}: its first row alone is larger than cap_mb, {source.cap_mb}: raise it")


def _check_bad(source: Source, counts: Counter[str], bad: list[Rejected], max_bad_rows: float) -> None:
    """Raise `BadData` when too many rows are bad. A good row makes at most one record of a kind."""
    rows = counts[BAD] + max((counts[kind] for kind in _kinds(counts)), default=0)
    if counts[BAD] > max_bad_rows * rows or (bad and counts[BAD] == rows):
        shown = "; ".join(map(str, bad)) + ("; …" if counts[BAD] > len(bad) else "")
        raise BadData(
            f"{source.where}: {counts[BAD]:,} of {rows:,} rows are bad, and max_bad_rows is {max_bad_rows:g}: {shown}"
        )


def _kinds(counts: Counter[str]) -> list[str]:
    return [kind for kind in counts if kind not in (BYTES, BAD)]


def _summary(counts: Counter[str]) -> str:
    rows = [f"{counts[kind]:,} {kind}" for kind in _kinds(counts)]
    if counts[BYTES]:
        rows.append(f"{counts[BYTES] / MEGABYTE:.1f} MB of text")
    if counts[BAD]:
        rows.append(f"{counts[BAD]:,} bad rows (data/rejected/{ROWS} will have the reason of each)")
    return ", ".join(rows)


def main() -> None:
    settings = params.read("ingest", Ingest)
    sources = wanted(accepted(catalog.load(Path(settings.sources)), settings.licenses), settings.take)
    listed = listing.read()
    check_files(listed, sources)
    with replacing(RAW) as folder:
        ingest(sources, listed, folder, settings.max_bad_rows)


if __name__ == "__main__":
    stage.run("ingest", main)
