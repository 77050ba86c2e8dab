"""Stage `ingest`: pinned sources become the raw tables of documents and examples."""

from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.core import params, stage
from components.core.errors import BadSettings
from components.core.params import suggest
from components.core.progress import track
from components.data import listing
from components.data.settings import Ingest
from components.data.sources import catalog
from components.data.sources.source import Source
from components.data.tables.records import SCHEMAS, Document, Example, Record, dump, identity
from components.data.tables.shards import ShardWriter, replacing

RAW = Path("data/raw")
MEGABYTE = 1_000_000


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


def ingest(sources: list[Source], listed: listing.Listing, folder: Path) -> None:
    """Write the tables `documents` and `examples` of the sources to a folder; of local files only the listed ones."""
    with ExitStack() as stack:
        tables = {table: stack.enter_context(ShardWriter(folder / table, schema)) for table, schema in SCHEMAS.items()}
        for source in track(sources, "ingest", len(sources), "sources"):
            print(f"{source.name}: {_summary(_copy(source, listed.get(source.name, {}), tables))}", flush=True)


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


def _copy(source: Source, listed: Mapping[str, str], tables: Mapping[str, ShardWriter]) -> Counter[str]:
    """Write what the source yields, up to its cap; returns the rows of each kind, and the bytes that the cap counts."""
    counts: Counter[str] = Counter()
    others: set[str] = set()
    for record in source.records(listed):
        kind = "documents" if isinstance(record, Document) else record.task
        if kind not in source.yields:
            others.add(kind)
            continue
        counts["bytes"] += _counted(source, record)
        if source.cap_mb and counts["bytes"] > source.cap_mb * MEGABYTE:
            counts["bytes"] -= _counted(source, record)
            break
        counts[kind] += 1
        if isinstance(record, Document):
            tables["documents"].write(document_row(source, record))
        else:
            tables["examples"].write(example_row(source, record))
    for kind in source.yields:
        if not counts[kind]:
            raise BadSettings(f"{source.where} yields no {kind}; {suggest(kind, [*counts, *others])}")
    return counts


def _counted(source: Source, record: Record) -> int:
    """The bytes of a record as its cap counts them: documents, or examples where the source has nothing else."""
    if isinstance(record, Document):
        return len((record.text or "").encode())
    return 0 if "documents" in source.yields else len(dump(record.inputs).encode())


def _summary(counts: Counter[str]) -> str:
    rows = [f"{count:,} {kind}" for kind, count in counts.items() if kind != "bytes"]
    if counts["bytes"]:
        rows.append(f"{counts['bytes'] / MEGABYTE:.1f} MB of text")
    return ", ".join(rows)


def main() -> None:
    settings = params.read("ingest", Ingest)
    sources = wanted(accepted(catalog.load(Path(settings.sources)), settings.licenses), settings.take)
    with replacing(RAW) as folder:
        ingest(sources, listing.read(), folder)


if __name__ == "__main__":
    stage.run("ingest", main)
