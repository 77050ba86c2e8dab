"""Stage `prepare`: raw tables become clean ones, each row in its split; dropped rows are stored with the reason."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.core import id_index, params, stage
from components.core.errors import BadData
from components.core.files import STATE, write_json
from components.core.progress import track
from components.data.cleaning.boilerplate import Boilerplate, LineCounts
from components.data.cleaning.boilerplate import count as count_lines
from components.data.cleaning.parts import parts
from components.data.cleaning.rows import (
    CHANGES,
    CONFIDENCE,
    PERSONAL,
    REASON,
    VALUE,
    clean_documents,
    clean_examples,
    clean_text,
)
from components.data.duplicates import benchmarks
from components.data.duplicates.benchmarks import Item
from components.data.duplicates.decide import Decisions, Rejection, RowFacts, decide
from components.data.duplicates.passages import Passages
from components.data.duplicates.sketches import sketch
from components.data.settings import Prepare
from components.data.tables.parallel import ordered
from components.data.tables.records import DOCUMENTS, EXAMPLES, ROWS, SCHEMAS, all_texts, main_text, split_text
from components.data.tables.shards import (
    RowGroup,
    ShardWriter,
    emptied,
    read,
    read_batch,
    replacing,
    row_groups,
    write_batch,
)
from components.data.tables.split import SPLITS, split_of

RAW = Path("data/raw")
PREPARED = Path("data/prepared")
REJECTED = Path("data/rejected")
MASKED = "masked.json"
CHANGED = "changed.json"
SCRATCH = STATE / "prepare"
PASSAGES = "passages.npz"
STORED = {"documents": DOCUMENTS.append(CONFIDENCE), "examples": EXAMPLES}
# Of a copy the id of the row that is kept, of a text of a benchmark its place there; and how much they have in common.
REJECTION = [REASON, VALUE, pa.field("same_as", pa.string()), pa.field("similarity", pa.float64())]
BETWEEN = "\u241e"  # texts of a row, so that none ends within the next

TableRow = dict[str, Any]
Tally = dict[str, Counter[str]]
"""Source -> how much of each kind was found in its rows, kept or not."""


class Chunk(NamedTuple):
    """The unit of work: a batch of rows of a table, and its number among those of both tables."""

    number: int
    table: str
    group: RowGroup


class Prepared(NamedTuple):
    """By table the rows of each split and each reason, the personal data that was masked, and the other changes."""

    rows: dict[str, Counter[str]]
    masked: dict[str, Tally]
    changed: dict[str, Tally]


class Piece(NamedTuple):
    """A row to be stored: a whole row of the raw table, or a part of a long document."""

    row: TableRow
    key: str  # two rows with equal ones are duplicates; of a document its text
    text: str  # rows with near ones are in one split
    decides: str  # the text that decides the split of the row alone
    whole: int  # the number of the text in the batch that has to be in one split


def _pieces(table: str, batch: pa.RecordBatch, settings: Prepare) -> Iterator[Piece]:
    for number, row in enumerate(batch.to_pylist()):
        if table == "documents":
            yield from _of_document(row, number, settings)
        else:
            inputs = json.loads(row["inputs"])
            text = split_text(inputs)
            yield Piece(row, BETWEEN.join([row["task"], *all_texts(inputs)]), text, text, number)


def _of_document(row: TableRow, whole: int, settings: Prepare) -> Iterator[Piece]:
    text = row["text"]
    texts = [text] if row["reason"] else parts(text, settings.documents.max_characters)
    for number, part in enumerate(texts, start=1):
        stored = row if part == text else _part(row, part, number, len(texts))
        yield Piece(stored, part, part, text if settings.splits.unit == "document" else part, whole)


def _part(row: TableRow, text: str, number: int, count: int) -> TableRow:
    """The row of a part of a document. Its id leads to the document's: `lmforge lineage document` takes either."""
    origin = f"{row['origin']}, part {number} of {count}"
    return row | {"id": id_index.part(row["id"], number), "text": text, "origin": origin}


def _find_boilerplate(chunks: Sequence[Chunk], settings: Prepare, scratch: Path) -> Boilerplate | None:
    """The lines that many documents of a source have, once cleaned; None where they stay."""
    if settings.boilerplate is None:
        return None
    documents = [chunk for chunk in chunks if chunk.table == "documents"]
    counts = LineCounts(scratch / "lines")
    counted = ordered(partial(_count_lines, settings=settings), documents)
    for part in track(counted, "prepare", len(documents), "batches of lines"):
        counts.add(part)
    return counts.boilerplate(settings.boilerplate)


def _count_lines(chunk: Chunk, settings: Prepare) -> NDArray[Any]:
    assert settings.boilerplate
    batch = read(chunk.group)
    texts = (clean_text(text, settings) for text in batch["text"].to_pylist())
    return count_lines(zip(batch["source"].to_pylist(), texts, strict=True), settings.boilerplate.min_characters)


def _clean(
    chunk: Chunk, settings: Prepare, boilerplate: Boilerplate | None, scratch: Path
) -> tuple[RowFacts, Tally, Tally]:
    """Clean the rows of a chunk, leave them in the scratch folder, and return what decides about them."""
    raw = read(chunk.group)
    is_documents = chunk.table == "documents"
    clean = clean_documents(raw, settings, boilerplate) if is_documents else clean_examples(raw, settings)
    pieces = list(_pieces(chunk.table, clean, settings))
    stored = pa.schema([*STORED[chunk.table], REASON, VALUE])
    write_batch(_scratch(scratch, chunk), [piece.row for piece in pieces], stored)
    wholes = [piece.whole if settings.splits.unit == "document" else number for number, piece in enumerate(pieces)]
    sketches = sketch(["" if piece.row["reason"] else piece.text for piece in pieces], settings.duplicates)
    keys = None if is_documents else sketch([piece.key for piece in pieces], None)
    facts = RowFacts(
        ids=np.array([piece.row["id"] for piece in pieces], "S64"),
        documents=np.full(len(pieces), is_documents),
        dropped=np.array([bool(piece.row["reason"]) for piece in pieces]),
        keys=(keys or sketches).digests,
        wholes=np.array(wholes) + (chunk.number << 32),
        splits=np.array([SPLITS.index(split_of(piece.decides, settings.splits)) for piece in pieces], np.uint8),
        sketches=sketches,
    )
    return facts, _tally(clean, PERSONAL), _tally(clean, CHANGES)


def _tally(batch: pa.RecordBatch, kinds: pa.Field) -> Tally:
    tally: Tally = {}
    for source, found in zip(batch["source"].to_pylist(), batch[kinds.name].to_pylist(), strict=True):
        tally.setdefault(source, Counter()).update(dict(found))
    return tally


def _add(tally: Tally, more: Tally) -> None:
    for source, kinds in more.items():
        tally.setdefault(source, Counter()).update(kinds)


def _scratch(folder: Path, chunk: Chunk) -> Path:
    return folder / f"{chunk.number:06d}.arrow"


def prepare(raw: Path, prepared: Path, rejected: Path, settings: Prepare, scratch: Path) -> Prepared:
    """Clean, deduplicate, split and decontaminate both tables; a folder holds the cleaned rows meanwhile.

    Raises `BadData` when a table that had rows has none left, and `BadSettings` or `BadData` about a file of a
    benchmark.
    """
    items = list(benchmarks.read(settings.benchmarks))
    groups = [(table, group) for table in SCHEMAS for group in row_groups(raw / table)]
    chunks = [Chunk(number, *group) for number, group in enumerate(groups)]
    boilerplate = _find_boilerplate(chunks, settings, scratch)
    cleaned = ordered(partial(_clean, settings=settings, boilerplate=boilerplate, scratch=scratch), chunks)
    facts = []
    masked, changed = ({table: Tally() for table in SCHEMAS} for _ in range(2))
    for chunk, (part, *found) in zip(chunks, track(cleaned, "prepare", len(chunks), "batches"), strict=True):
        facts.append(part)
        for tally, more in zip((masked, changed), found, strict=True):
            _add(tally[chunk.table], more)
    decided = decide(facts, scratch, settings.duplicates)
    items += _held_out(chunks, decided, scratch)
    _decontaminate(chunks, decided, items, scratch, settings.max_overlap)
    counts = _store(chunks, decided, prepared, rejected, scratch)
    for table, count in counts.items():
        if count and not set(count) & set(SPLITS):
            raise BadData(
                f"{table}: no row is left: {_summary(count)}; change prepare.{table} of params.yaml, or the data"
            )
    return Prepared(counts, masked, changed)


def _rows(chunks: Sequence[Chunk], scratch: Path) -> Iterator[tuple[int, str, TableRow]]:
    """The cleaned rows of all chunks, each with its number and its table."""
    tables = ((chunk.table, row) for chunk in chunks for row in read_batch(_scratch(scratch, chunk)).to_pylist())
    return ((number, table, row) for number, (table, row) in enumerate(tables))


def _held_out(chunks: Sequence[Chunk], decided: Decisions, scratch: Path) -> Iterator[Item]:
    """The texts of the examples in the test split."""
    for number, table, row in _rows(chunks, scratch):
        is_kept = table == "examples" and not row["reason"] and number not in decided.rejections
        if is_kept and SPLITS[decided.splits[number]] == "test":
            yield Item(f"the test split of {row['task']}", row["id"], main_text(json.loads(row["inputs"])) or "")


def _decontaminate(
    chunks: Sequence[Chunk], decided: Decisions, items: Sequence[Item], scratch: Path, least: float | None
) -> None:
    """Reject the rows outside of the test split that have a text of a benchmark in them."""
    if least is None or not items:
        return
    passages = Passages.of([item.text for item in items])
    passages.save(scratch / PASSAGES)
    short = np.count_nonzero(passages.totals == 0)
    print(f"decontamination: {len(items):,} texts of tests, {short:,} of them too short or too common to look for")
    found = ordered(partial(_overlaps, scratch=scratch, least=least), chunks)
    overlaps = (overlap for chunk in track(found, "prepare", len(chunks), "batches compared") for overlap in chunk)
    for number, (item, share) in enumerate(overlaps):
        if item >= 0 and SPLITS[decided.splits[number]] != "test" and number not in decided.rejections:
            benchmark, place, _ = items[item]
            decided.rejections[number] = Rejection(f"in {benchmark}", place, share)


def _overlaps(chunk: Chunk, scratch: Path, least: float) -> list[tuple[int, float]]:
    """Of each row of a chunk the item that stands in it, -1 for none, and the share of the item."""
    rows = read_batch(_scratch(scratch, chunk)).to_pylist()
    found = Passages.load(scratch / PASSAGES).find([_everything(chunk.table, row) for row in rows], least)
    return list(zip(found.item.tolist(), found.share.tolist(), strict=True))


def _everything(table: str, row: TableRow) -> str:
    if row["reason"]:
        return ""
    return row["text"] if table == "documents" else BETWEEN.join([*all_texts(json.loads(row["inputs"])), row["target"]])


def _store(
    chunks: Sequence[Chunk], decided: Decisions, prepared: Path, rejected: Path, scratch: Path
) -> dict[str, Counter[str]]:
    """Write each row where it belongs; returns the number of rows of each split and each reason."""
    counts: dict[str, Counter[str]] = {table: Counter() for table in SCHEMAS}
    with ExitStack() as stack:
        writers = {
            (table, split): stack.enter_context(ShardWriter(prepared / table / split, schema))
            for table, schema in STORED.items()
            for split in SPLITS
        }
        dropped = {
            table: stack.enter_context(ShardWriter(rejected / table, pa.schema([*schema, *REJECTION])))
            for table, schema in STORED.items()
        }
        for number, table, row in _rows(chunks, scratch):
            row |= decided.rejections[number]._asdict() if number in decided.rejections else {}
            place = row["reason"] or SPLITS[decided.splits[number]]
            counts[table][place] += 1
            (dropped[table] if row["reason"] else writers[table, place]).write(row)
    return counts


def _summary(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {place}" for place, count in counts.most_common()) or "none"


def main() -> None:
    settings = params.read("prepare", Prepare)
    with replacing(PREPARED) as prepared, replacing(REJECTED) as rejected, emptied(SCRATCH) as scratch:
        rows, masked, changed = prepare(RAW, prepared, rejected, settings, scratch)
        write_json(prepared / MASKED, masked)
        write_json(prepared / CHANGED, changed)
        shutil.copytree(RAW / ROWS, rejected / ROWS)  # the rows that `ingest` could not read
    for table, places in rows.items():
        totals = [_summary(sum(tally[table].values(), Counter())) for tally in (masked, changed)]
        print(f"{table}: {_summary(places)}; masked {totals[0]}; changed {totals[1]}", flush=True)


if __name__ == "__main__":
    stage.run("prepare", main)
