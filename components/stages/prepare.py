"""Stage `prepare`: raw tables become clean ones, each row in its split; dropped rows are stored with the reason."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from components.core import id_index, params, stage
from components.core.errors import BadData
from components.core.progress import track
from components.data.cleaning import language, quality
from components.data.cleaning.dedup import SeenTexts
from components.data.cleaning.normalise import normalise
from components.data.cleaning.parts import parts
from components.data.cleaning.privacy import mask
from components.data.settings import DocumentLimits, ExampleLimits, Prepare
from components.data.tables.parallel import ordered
from components.data.tables.records import MESSAGES, SCHEMAS, dump, dump_turns, main_text, split_text
from components.data.tables.shards import RowGroup, ShardWriter, read, replacing, row_groups
from components.data.tables.split import SPLITS, split_of

RAW = Path("data/raw")
PREPARED = Path("data/prepared")
REJECTED = Path("data/rejected")
REASON = pa.field("reason", pa.string())

TableRow = dict[str, Any]


def cleaned(text: str) -> str:
    """The cleaning of every text, whether of a document or of an example, so that both stay the same."""
    return mask(normalise(text))


def clean_documents(batch: pa.RecordBatch, limits: DocumentLimits) -> pa.RecordBatch:
    """The documents with clean text and a language; `reason` is why one is to be dropped, or null."""
    rows = [_clean_document(row, limits) for row in batch.to_pylist()]
    return pa.RecordBatch.from_pylist(rows, batch.schema.append(REASON))


def clean_examples(batch: pa.RecordBatch, limits: ExampleLimits) -> pa.RecordBatch:
    """The examples with clean inputs and targets; `reason` is why one is to be dropped, or null."""
    rows = [_clean_example(row, limits) for row in batch.to_pylist()]
    return pa.RecordBatch.from_pylist(rows, batch.schema.append(REASON))


def _clean_document(row: TableRow, limits: DocumentLimits) -> TableRow:
    text = cleaned(row["text"])
    reason = quality.rejection(text, limits)
    declared = row["language"]
    if not reason and declared and language.contradiction(text, declared):
        reason = "not in the declared language"
    tag = declared or language.identify(text)[0]
    return row | {"text": text, "language": tag, "reason": reason}


def _clean_example(row: TableRow, limits: ExampleLimits) -> TableRow:
    given = json.loads(row["inputs"])
    inputs = {name: _clean_turns(value) if name == MESSAGES else cleaned(value) for name, value in given.items()}
    target = cleaned(row["target"])
    text = main_text(inputs) or ""
    reason = None
    if not text or not target or any(given[name].strip() and not value for name, value in inputs.items()):
        reason = "empty"
    elif len(text) > limits.max_characters:
        reason = "too long"
    return row | {"inputs": dump(inputs), "target": target, "reason": reason}


def _clean_turns(messages: str) -> str:
    """The turns of a conversation with clean contents; none when a content has nothing left."""
    turns = [turn | {"content": cleaned(turn["content"])} for turn in json.loads(messages)]
    return dump_turns(turns if all(turn["content"] for turn in turns) else [])


def _clean(group: RowGroup, table: str, settings: Prepare) -> pa.RecordBatch:
    batch = read(group)
    if table == "documents":
        return clean_documents(batch, settings.documents)
    return clean_examples(batch, settings.examples)


class Piece(NamedTuple):
    """A row to be stored: a whole row of the raw table, or a part of a long document."""

    row: TableRow
    key: str  # two rows with the same one are duplicates
    decides: str  # the text that decides the split


def _pieces(table: str, batch: pa.RecordBatch, settings: Prepare) -> Iterator[Piece]:
    for row in batch.to_pylist():
        if table == "documents":
            yield from _of_document(row, settings)
        else:
            yield Piece(row, f"{row['task']}\n{row['inputs']}", split_text(json.loads(row["inputs"])))


def _of_document(row: TableRow, settings: Prepare) -> Iterator[Piece]:
    whole = row["text"]
    texts = [whole] if row["reason"] else parts(whole, settings.documents.max_characters)
    for number, text in enumerate(texts, start=1):
        decides = whole if settings.splits.unit == "document" else text
        yield Piece(row if text == whole else _part(row, text, number, len(texts)), text, decides)


def _part(row: TableRow, text: str, number: int, count: int) -> TableRow:
    """The row of a part of a document. Its id leads to the document's: `lmforge lineage document` takes either."""
    origin = f"{row['origin']}, part {number} of {count}"
    return row | {"id": id_index.part(row["id"], number), "text": text, "origin": origin}


def prepare(table: str, raw: Path, prepared: Path, rejected: Path, settings: Prepare) -> Counter[str]:
    """Clean, deduplicate and split one table; returns the number of rows of each split and each reason.

    Raises `BadData` when no row of the table is left.
    """
    groups = row_groups(raw / table)
    counts: Counter[str] = Counter()
    seen = SeenTexts()
    with ExitStack() as stack:
        splits = {split: stack.enter_context(ShardWriter(prepared / table / split, SCHEMAS[table])) for split in SPLITS}
        dropped = stack.enter_context(ShardWriter(rejected / table, SCHEMAS[table].append(REASON)))
        batches = ordered(partial(_clean, table=table, settings=settings), groups)
        for batch in track(batches, "prepare", len(groups), f"batches of {table}"):
            for row, key, decides in _pieces(table, batch, settings):
                if not row["reason"] and not seen.add(key):
                    row["reason"] = "duplicate"
                place = row["reason"] or split_of(decides, settings.splits)
                counts[place] += 1
                (dropped if row["reason"] else splits[place]).write(row)
    if counts and not set(counts) & set(SPLITS):
        raise BadData(
            f"{table}: no row is left: {_summary(counts)}; change prepare.{table} of params.yaml, or the data"
        )
    return counts


def _summary(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {place}" for place, count in counts.most_common()) or "none"


def main() -> None:
    settings = params.read("prepare", Prepare)
    with replacing(PREPARED) as prepared, replacing(REJECTED) as rejected:
        for table in SCHEMAS:
            counts = prepare(table, RAW, prepared, rejected, settings)
            print(f"{table}: {_summary(counts)}", flush=True)


if __name__ == "__main__":
    stage.run("prepare", main)
