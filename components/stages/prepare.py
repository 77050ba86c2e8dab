"""Stage `prepare`: raw tables become clean ones, each row in its split; dropped rows are stored with the reason."""

import json
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.core import params, stage
from components.core.progress import track
from components.data.cleaning import language, quality
from components.data.cleaning.dedup import SeenTexts
from components.data.cleaning.normalise import normalise
from components.data.cleaning.privacy import mask
from components.data.settings import DocumentLimits, ExampleLimits, Prepare
from components.data.tables.parallel import ordered
from components.data.tables.records import SCHEMAS, dump, main_input
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
    inputs = {name: cleaned(value) for name, value in json.loads(row["inputs"]).items()}
    target = cleaned(row["target"])
    text = inputs[main_input(inputs)]
    reason = None
    if not text or not target:
        reason = "empty"
    elif len(text) > limits.max_characters:
        reason = "too long"
    return row | {"inputs": dump(inputs), "target": target, "reason": reason}


def _clean(group: RowGroup, table: str, settings: Prepare) -> pa.RecordBatch:
    batch = read(group)
    if table == "documents":
        return clean_documents(batch, settings.documents)
    return clean_examples(batch, settings.examples)


def _identity_and_text(table: str, row: TableRow) -> tuple[str, str]:
    """The key by which two rows are duplicates, and the text that decides the split."""
    if table == "documents":
        return row["text"], row["text"]
    inputs = json.loads(row["inputs"])
    return f"{row['task']}\n{row['inputs']}", inputs[main_input(inputs)]


def prepare(table: str, raw: Path, prepared: Path, rejected: Path, settings: Prepare) -> Counter[str]:
    """Clean, deduplicate and split one table; returns the number of rows of each split and each reason."""
    groups = row_groups(raw / table)
    counts: Counter[str] = Counter()
    seen = SeenTexts()
    with ExitStack() as stack:
        splits = {split: stack.enter_context(ShardWriter(prepared / table / split, SCHEMAS[table])) for split in SPLITS}
        dropped = stack.enter_context(ShardWriter(rejected / table, SCHEMAS[table].append(REASON)))
        batches = ordered(partial(_clean, table=table, settings=settings), groups)
        for batch in track(batches, "prepare", len(groups), f"batches of {table}"):
            for row in batch.to_pylist():
                key, text = _identity_and_text(table, row)
                if not row["reason"] and not seen.add(key):
                    row["reason"] = "duplicate"
                place = row["reason"] or split_of(text, settings.splits)
                counts[place] += 1
                (dropped if row["reason"] else splits[place]).write(row)
    return counts


def main() -> None:
    settings = params.read("prepare", Prepare)
    with replacing(PREPARED) as prepared, replacing(REJECTED) as rejected:
        for table in SCHEMAS:
            counts = prepare(table, RAW, prepared, rejected, settings)
            print(f"{table}: {', '.join(f'{count:,} {place}' for place, count in counts.most_common())}", flush=True)


if __name__ == "__main__":
    stage.run("prepare", main)
