"""Stage `prepare`: raw tables become clean ones, each row in its split; dropped rows are stored with the reason."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from components.core import id_index, params, stage
from components.core.errors import BadData
from components.core.files import write_json
from components.core.progress import track
from components.data import takedown
from components.data.cleaning import language, quality
from components.data.cleaning.dedup import SeenTexts
from components.data.cleaning.normalise import normalise
from components.data.cleaning.parts import parts
from components.data.privacy.masking import mask
from components.data.settings import DocumentLimits, ExampleLimits, Prepare
from components.data.tables.parallel import ordered
from components.data.tables.records import MESSAGES, ROWS, SCHEMAS, dump, dump_turns, main_text, split_text
from components.data.tables.shards import RowGroup, ShardWriter, read, replacing, row_groups
from components.data.tables.split import SPLITS, split_of
from components.data.takedown import Takedown

RAW = Path("data/raw")
PREPARED = Path("data/prepared")
REJECTED = Path("data/rejected")
MASKED = "masked.json"
REASON = pa.field("reason", pa.string())
PERSONAL = pa.field("personal", pa.map_(pa.string(), pa.int32()))

TableRow = dict[str, Any]


def cleaned(text: str, found: Counter[str]) -> str:
    """The cleaning of every text, whether of a document or of an example, so that both stay the same.

    The pieces of personal data that were masked are added to `found`, by their kinds.
    """
    masked = mask(normalise(text))
    found.update(masked.counts)
    return masked.text


def clean_documents(batch: pa.RecordBatch, limits: DocumentLimits) -> pa.RecordBatch:
    """The documents with clean text and a language; `reason` is why one is to be dropped, or null.

    `personal` counts what was masked, by its kind.
    """
    taken_down = takedown.read()
    rows = [_clean_document(row, limits, taken_down) for row in batch.to_pylist()]
    return pa.RecordBatch.from_pylist(rows, batch.schema.append(REASON).append(PERSONAL))


def clean_examples(batch: pa.RecordBatch, limits: ExampleLimits) -> pa.RecordBatch:
    """The examples with clean inputs and targets; `reason` is why one is to be dropped, or null.

    `personal` counts what was masked, by its kind.
    """
    taken_down = takedown.read()
    rows = [_clean_example(row, limits, taken_down) for row in batch.to_pylist()]
    return pa.RecordBatch.from_pylist(rows, batch.schema.append(REASON).append(PERSONAL))


def _clean_document(row: TableRow, limits: DocumentLimits, taken_down: Takedown) -> TableRow:
    found: Counter[str] = Counter()
    text = cleaned(row["text"], found)
    reason = takedown.REASON if taken_down.rejects(row["id"], text) else quality.rejection(text, limits)
    declared = row["language"]
    if not reason and declared and language.contradiction(text, declared):
        reason = "not in the declared language"
    tag = declared or language.identify(text)[0]
    return row | {"text": text, "language": tag, "reason": reason, "personal": sorted(found.items())}


def _clean_example(row: TableRow, limits: ExampleLimits, taken_down: Takedown) -> TableRow:
    given = json.loads(row["inputs"])
    found: Counter[str] = Counter()
    inputs = {
        name: _clean_turns(value, found) if name == MESSAGES else cleaned(value, found) for name, value in given.items()
    }
    target = cleaned(row["target"], found)
    text = main_text(inputs) or ""
    reason = None
    if taken_down.rejects(row["id"], text):
        reason = takedown.REASON
    elif not text or not target or any(given[name].strip() and not value for name, value in inputs.items()):
        reason = "empty"
    elif len(text) > limits.max_characters:
        reason = "too long"
    return row | {"inputs": dump(inputs), "target": target, "reason": reason, "personal": sorted(found.items())}


def _clean_turns(messages: str, found: Counter[str]) -> str:
    """The turns of a conversation with clean contents; none when a content has nothing left."""
    turns = [turn | {"content": cleaned(turn["content"], found)} for turn in json.loads(messages)]
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


def prepare(
    table: str, raw: Path, prepared: Path, rejected: Path, settings: Prepare
) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """Clean, deduplicate and split one table; returns the number of rows of each split and each reason.

    And, for each source, the pieces of personal data of each kind that were masked in its rows, kept or not.
    Raises `BadData` when no row of the table is left.
    """
    groups = row_groups(raw / table)
    counts: Counter[str] = Counter()
    masked: dict[str, Counter[str]] = {}
    seen = SeenTexts()
    with ExitStack() as stack:
        splits = {split: stack.enter_context(ShardWriter(prepared / table / split, SCHEMAS[table])) for split in SPLITS}
        dropped = stack.enter_context(ShardWriter(rejected / table, SCHEMAS[table].append(REASON)))
        batches = ordered(partial(_clean, table=table, settings=settings), groups)
        for batch in track(batches, "prepare", len(groups), f"batches of {table}"):
            _count_masked(batch, masked)
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
    return counts, masked


def _count_masked(batch: pa.RecordBatch, masked: dict[str, Counter[str]]) -> None:
    for source, found in zip(batch["source"].to_pylist(), batch[PERSONAL.name].to_pylist(), strict=True):
        masked.setdefault(source, Counter()).update(dict(found))


def _summary(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {place}" for place, count in counts.most_common()) or "none"


def main() -> None:
    settings = params.read("prepare", Prepare)
    by_source = dict[str, dict[str, Counter[str]]]()
    with replacing(PREPARED) as prepared, replacing(REJECTED) as rejected:
        for table in SCHEMAS:
            counts, masked = prepare(table, RAW, prepared, rejected, settings)
            print(f"{table}: {_summary(counts)}; masked {_summary(sum(masked.values(), Counter()))}", flush=True)
            by_source[table] = masked
        write_json(prepared / MASKED, by_source)
        shutil.copytree(RAW / ROWS, rejected / ROWS)  # the rows that `ingest` could not read


if __name__ == "__main__":
    stage.run("prepare", main)
