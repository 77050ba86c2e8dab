"""Stage `prepare`: raw tables become clean ones, each row in its split; dropped rows are stored with the reason.

What is made of a row group is kept from run to run, and so are the shards whose rows and splits stay.
docs/decisions.md, "Results are kept by what they follow from"
"""

import bisect
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.core import code, kept, params, stage
from components.core.errors import BadData
from components.core.files import STATE, sha256, write_json
from components.core.kept import CACHE, KeptFiles, packed, unpacked
from components.data import takedown
from components.data.cleaning import chunks
from components.data.cleaning.chunks import STORED, Tally
from components.data.cleaning.quality import Boilerplate, LineCounts, count_lines
from components.data.cleaning.rows import REASON, VALUE, clean_text
from components.data.duplicates import benchmarks
from components.data.duplicates.benchmarks import Item
from components.data.duplicates.near import Decisions, Rejection, decide
from components.data.duplicates.passages import Passages, beginnings
from components.data.settings import Executor, Prepare
from components.data.tables.parallel import Batches, executor
from components.data.tables.records import ROWS, SCHEMAS, SPLITS, main_text
from components.data.tables.shards import (
    RowGroup,
    emptied,
    large,
    read,
    replacing,
    row_groups,
    shard_name,
    write_shard,
)

RAW = Path("data/raw")
PREPARED = Path("data/prepared")
REJECTED = Path("data/rejected")
MASKED = "masked.json"
CHANGED = "changed.json"
KEPT = CACHE / "prepare"
SCRATCH = STATE / "prepare"
# Of a copy the id of the row that is kept, of a text of a benchmark its place there; and how much they have in common.
REJECTION = [REASON, VALUE, pa.field("same_as", pa.string()), pa.field("similarity", pa.float64())]
DROPPED = len(SPLITS)  # in place of the number of a split


class Chunk(NamedTuple):
    """The unit of work: a row group of a raw table."""

    table: str
    group: RowGroup


class CleanChunk(NamedTuple):
    """The file with the clean rows of a chunk."""

    table: str
    shard: str  # the name of the raw one, and of those that its rows are stored in
    path: Path

    @property
    def rows(self) -> pa.RecordBatch:
        return unpacked(self.path)


class Prepared(NamedTuple):
    """By table the rows of each split and each reason, the personal data that was masked, and the other changes."""

    rows: dict[str, Counter[str]]
    masked: dict[str, Tally]
    changed: dict[str, Tally]


class Fates(NamedTuple):
    """What becomes of some rows, one behind the other: the split of each or `DROPPED`, and why copies are dropped."""

    splits: NDArray[np.uint8]
    rejections: dict[int, Rejection]


def prepare(raw: Path, prepared: Path, rejected: Path, settings: Prepare, scratch: Path, batches: Batches) -> Prepared:
    """Clean, deduplicate, split and decontaminate both tables; a folder holds what is compared meanwhile.

    Raises `BadData` when a table that had rows has none left, and `BadSettings` or `BadData` about a file of a
    benchmark.
    """
    items = list(benchmarks.read(settings.benchmarks))
    groups = [Chunk(table, group) for table in SCHEMAS for group in row_groups(raw / table)]
    cleaned = _clean_all(groups, settings, scratch, batches)
    facts = (chunks.facts(chunk.rows, chunk.table, place, settings) for place, chunk in enumerate(cleaned))
    decided = decide(facts, scratch, settings.duplicates)
    items += _held_out(cleaned, decided)
    _decontaminate(cleaned, decided, items, settings.max_overlap, batches)
    counts = _store(cleaned, decided, prepared, rejected, batches.known)
    for table, count in counts.items():
        if count and not set(count) & set(SPLITS):
            raise BadData(
                f"{table}: no row is left: {_summary(count)}; change prepare.{table} of params.yaml, or the data"
            )
    return Prepared(counts, *_tallies(cleaned))


def _clean_all(groups: Sequence[Chunk], settings: Prepare, scratch: Path, batches: Batches) -> list[CleanChunk]:
    """The chunks with their rows cleaned, those that are kept as they are."""
    listed = sha256(takedown.PATH) if takedown.PATH.exists() else ""
    made_from = (code.digest(*chunks.CODE), asdict(replace(settings, benchmarks=(), max_overlap=None)), listed)
    boilerplate = _boilerplate(groups, settings, scratch, batches, made_from)
    keys = [
        kept.key(*made_from, chunk.table, chunk.group.digest, lines)
        for chunk, lines in zip(groups, boilerplate, strict=True)
    ]
    tasks = list(zip(groups, boilerplate, strict=True))
    paths = batches.remembered(partial(_clean, settings=settings), tasks, keys, "batches")
    return [CleanChunk(chunk.table, chunk.group.path.name, path) for chunk, path in zip(groups, paths, strict=True)]


def _clean(task: tuple[Chunk, Boilerplate | None], settings: Prepare) -> bytes:
    chunk, boilerplate = task
    return packed(chunks.clean(read(chunk.group), chunk.table, settings, boilerplate))


def _boilerplate(
    groups: Sequence[Chunk], settings: Prepare, scratch: Path, batches: Batches, made_from: tuple[object, ...]
) -> list[Boilerplate | None]:
    """Of each chunk the lines that many documents of a source have, once cleaned; None where they stay."""
    if settings.boilerplate is None:
        return [None] * len(groups)
    documents = [chunk for chunk in groups if chunk.table == "documents"]
    keys = [kept.key("lines", *made_from, chunk.group.digest) for chunk in documents]
    paths = batches.remembered(partial(_count_lines, settings=settings), documents, keys, "batches of lines")
    counted = [LineCounts.read(path) for path in paths]
    total = LineCounts(scratch / "lines")
    for counts in counted:
        total.add(counts)
    found = total.boilerplate(settings.boilerplate)
    return [*(found.among(counts) for counts in counted), *[None] * (len(groups) - len(documents))]


def _count_lines(chunk: Chunk, settings: Prepare) -> bytes:
    assert settings.boilerplate
    batch = read(chunk.group)
    texts = (clean_text(text, settings) for text in batch["text"].to_pylist())
    counts = count_lines(zip(batch["source"].to_pylist(), texts, strict=True), settings.boilerplate.min_characters)
    return counts.tobytes()


def _tallies(cleaned: Sequence[CleanChunk]) -> tuple[dict[str, Tally], dict[str, Tally]]:
    """By table what was masked and what was changed in the rows of all chunks."""
    totals: tuple[dict[str, Tally], dict[str, Tally]] = ({table: {} for table in SCHEMAS}, {t: {} for t in SCHEMAS})
    for chunk in cleaned:
        for total, found in zip(totals, chunks.tallies(chunk.rows), strict=True):
            for source, kinds in found.items():
                total[chunk.table].setdefault(source, Counter()).update(kinds)
    return totals


def _fates(cleaned: Sequence[CleanChunk], decided: Decisions) -> Iterator[tuple[CleanChunk, Fates]]:
    """The chunks, each with what becomes of its rows."""
    numbers, start = sorted(decided.rejections), 0
    for chunk in cleaned:
        reasons = chunk.rows[REASON.name]
        end = start + len(reasons)
        mine = numbers[bisect.bisect_left(numbers, start) : bisect.bisect_left(numbers, end)]
        rejections = {number - start: decided.rejections[number] for number in mine}
        splits = np.where(reasons.is_valid(), DROPPED, decided.splits[start:end]).astype(np.uint8)
        splits[list(rejections)] = DROPPED
        yield chunk, Fates(splits, rejections)
        start = end


def _held_out(cleaned: Sequence[CleanChunk], decided: Decisions) -> Iterator[Item]:
    """The texts of the examples in the test split."""
    for chunk, fates in _fates(cleaned, decided):
        if chunk.table == "examples":
            rows = chunk.rows.select(["id", "task", "inputs"])
            for row in rows.filter(pa.array(fates.splits == SPLITS.index("test"))).to_pylist():
                yield Item(f"the test split of {row['task']}", row["id"], main_text(json.loads(row["inputs"])) or "")


def _decontaminate(
    cleaned: Sequence[CleanChunk], decided: Decisions, items: Sequence[Item], least: float | None, batches: Batches
) -> None:
    """Reject the rows outside of the test split that have a text of a benchmark in them."""
    if least is None or not items:
        return
    passages = Passages.of([item.text for item in items])
    short = np.count_nonzero(passages.totals == 0)
    print(f"decontamination: {len(items):,} texts of tests, {short:,} of them too short or too common to look for")
    names = [chunk.path.stem for chunk in cleaned]
    begins = batches.remembered(_beginnings, cleaned, [kept.key("beginnings", name) for name in names], "batches read")
    candidates = [passages.candidates(np.fromfile(path, np.uint32), least) for path in begins]
    sought = [(number, passages.only(found)) for number, found in enumerate(candidates) if len(found)]
    keys = [kept.key("overlaps", names[number], least, among) for number, among in sought]
    tasks = [(cleaned[number], among) for number, among in sought]
    paths = batches.remembered(partial(_overlaps, least=least), tasks, keys, "batches compared")
    starts = np.cumsum([0, *(len(chunk.rows) for chunk in cleaned)])
    for (number, _), path in zip(sought, paths, strict=True):
        for place, item, share in zip(*unpacked(path).to_pydict().values(), strict=True):
            row = int(starts[number]) + place
            if SPLITS[decided.splits[row]] != "test" and row not in decided.rejections:
                benchmark, at, _ = items[candidates[number][item]]
                decided.rejections[row] = Rejection(f"in {benchmark}", at, share)


def _beginnings(chunk: CleanChunk) -> bytes:
    return beginnings(chunks.everything(chunk.rows, chunk.table)).tobytes()


def _overlaps(task: tuple[CleanChunk, Passages], least: float) -> bytes:
    """Which rows of a chunk have which item in them, and the share of the item."""
    chunk, passages = task
    item, share = passages.find(chunks.everything(chunk.rows, chunk.table), least)
    found = np.flatnonzero(item >= 0)
    return packed(pa.RecordBatch.from_pydict({"row": found, "item": item[found], "share": share[found]}))


def _store(
    cleaned: Sequence[CleanChunk], decided: Decisions, prepared: Path, rejected: Path, known: KeptFiles
) -> dict[str, Counter[str]]:
    """Write each row where it belongs; returns the number of rows of each split and each reason."""
    counts: dict[str, Counter[str]] = {table: Counter() for table in SCHEMAS}
    folders = {table: [*(prepared / table / split for split in SPLITS), rejected / table] for table in SCHEMAS}
    writer = code.digest(*chunks.CODE, "stages/prepare.py")
    for (table, shard), group in itertools.groupby(_fates(cleaned, decided), lambda pair: pair[0][:2]):
        rows = list(group)
        key = kept.key(writer, [(chunk.path.stem, fates.splits.tobytes(), fates.rejections) for chunk, fates in rows])
        for number, folder in enumerate(folders[table]):
            if any((fates.splits == number).any() for _, fates in rows):
                name = f"{key}-{number}"
                kept.put(known.find(name) or known.add(name, partial(_write, rows=rows, number=number)), folder / shard)
        for chunk, fates in rows:
            counts[table] += _counted(chunk, fates)
    for table in SCHEMAS:
        for number, folder in enumerate(folders[table]):
            if not folder.exists():  # so that readers find the columns
                folder.mkdir(parents=True)
                write_shard(folder / shard_name(0), [], _schema(table, number))
    return counts


def _schema(table: str, number: int) -> pa.Schema:
    return pa.schema([*STORED[table], *REJECTION]) if number == DROPPED else STORED[table]


def _write(path: Path, rows: Sequence[tuple[CleanChunk, Fates]], number: int) -> None:
    """Write the rows of some chunks that go to a split, or those that are dropped."""
    schema = _schema(rows[0][0].table, number)
    write_shard(path, list(large(_chosen(chunk, fates, number, schema) for chunk, fates in rows)), schema)


def _chosen(chunk: CleanChunk, fates: Fates, number: int, schema: pa.Schema) -> pa.RecordBatch:
    chosen = np.flatnonzero(fates.splits == number)
    batch = chunk.rows.select([name for name in schema.names if name in chunk.rows.schema.names]).take(pa.array(chosen))
    if number != DROPPED:
        return batch.replace_schema_metadata(None)
    copies = [fates.rejections[row]._asdict() if row in fates.rejections else {} for row in chosen.tolist()]
    return pa.RecordBatch.from_pylist([row | copy for row, copy in zip(batch.to_pylist(), copies, strict=True)], schema)


def _counted(chunk: CleanChunk, fates: Fates) -> Counter[str]:
    """The rows of each split and each reason."""
    splits = np.bincount(fates.splits, minlength=DROPPED + 1).tolist()
    counts = Counter({split: rows for split, rows in zip(SPLITS, splits, strict=False) if rows})
    counts.update(chunk.rows[REASON.name].drop_null().to_pylist())
    counts.update(rejection.reason for rejection in fates.rejections.values())
    return counts


def _summary(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {place}" for place, count in counts.most_common()) or "none"


def main() -> None:
    settings = params.read("prepare", Prepare)
    batches = Batches(KeptFiles(KEPT), executor(params.read("executor", Executor)))
    with replacing(PREPARED) as prepared, replacing(REJECTED) as rejected, emptied(SCRATCH) as scratch:
        rows, masked, changed = prepare(RAW, prepared, rejected, settings, scratch, batches)
        write_json(prepared / MASKED, masked)
        write_json(prepared / CHANGED, changed)
        shutil.copytree(RAW / ROWS, rejected / ROWS)  # the rows that `ingest` could not read
    batches.known.forget_others()
    for table, places in rows.items():
        totals = [_summary(sum(tally[table].values(), Counter())) for tally in (masked, changed)]
        print(f"{table}: {_summary(places)}; masked {totals[0]}; changed {totals[1]}", flush=True)


if __name__ == "__main__":
    stage.run("prepare", main)
