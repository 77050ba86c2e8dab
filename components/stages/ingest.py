"""Stage `ingest`: pinned sources become the raw tables of documents and examples."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.core import params, stage
from components.core.errors import BadData, BadSettings
from components.core.params import suggest
from components.core.progress import track
from components.data import listing
from components.data.settings import Ingest
from components.data.sources import catalog
from components.data.sources.source import Source
from components.data.tables.records import (
    REJECTED_ROWS,
    ROWS,
    SCHEMAS,
    Document,
    Example,
    Record,
    Rejected,
    dump,
    identity,
)
from components.data.tables.shards import ShardWriter, replacing

RAW = Path("data/raw")
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
    schemas = {**SCHEMAS, ROWS: REJECTED_ROWS}
    with ExitStack() as stack:
        tables = {table: stack.enter_context(ShardWriter(folder / table, schema)) for table, schema in schemas.items()}
        for source in track(sources, "ingest", len(sources), "sources"):
            limit = max_bad_rows if source.max_bad_rows is None else source.max_bad_rows
            print(f"{source.name}: {_summary(_copy(source, listed.get(source.name, {}), tables, limit))}", flush=True)


def document_row(source: Source, record: Document) -> dict[str, Any]:
    """The row of a document in the table."""
    language = record.language or (source.languages[0] if len(source.languages) == 1 else None)
    return {
        "id": identity(source.name, record.key),
        "source": source.name,
        "text": record.text,
        "language": language,
        "license": source.license,
        "origin": f"{source.origin}#{record.key}",
    }


def example_row(source: Source, record: Example) -> dict[str, Any]:
    """The row of an example in the table."""
    return {
        "id": identity(source.name, f"{record.task}/{record.key}"),
        "source": source.name,
        "task": record.task,
        "inputs": dump(record.inputs),
        "target": record.target,
        "license": source.license,
    }


def _copy(
    source: Source, listed: Mapping[str, str], tables: Mapping[str, ShardWriter], max_bad_rows: float
) -> Counter[str]:
    """Write what the source yields, up to its cap; returns the rows of each kind, and the bytes that the cap counts."""
    counts: Counter[str] = Counter()
    bad: list[Rejected] = []  # the first ones
    others: set[str] = set()
    for record in source.records(listed):
        if isinstance(record, Rejected):
            counts[BAD] += 1
            bad += [record][: BAD_SHOWN - len(bad)]
            tables[ROWS].write({"source": source.name, **record._asdict()})
            continue
        kind = "documents" if isinstance(record, Document) else record.task
        if kind not in source.yields:
            others.add(kind)
            continue
        if source.cap_mb and counts[BYTES] + _counted(source, record) > source.cap_mb * MEGABYTE:
            _check_cap(source, counts)
            break
        counts[BYTES] += _counted(source, record)
        counts[kind] += 1
        if isinstance(record, Document):
            tables["documents"].write(document_row(source, record))
        else:
            tables["examples"].write(example_row(source, record))
    _check_bad(source, counts, bad, max_bad_rows)
    for kind in source.yields:
        if not counts[kind]:
            raise BadSettings(f"{source.where} yields no {kind}; {suggest(kind, [*_kinds(counts), *others])}")
    return counts


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


def _counted(source: Source, record: Record) -> int:
    """The bytes of a record as its cap counts them: documents, or examples where the source has nothing else."""
    if isinstance(record, Document):
        return len((record.text or "").encode())
    return 0 if "documents" in source.yields else len(dump(record.inputs).encode())


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
