"""The unit of work of the stage `prepare`: a batch of raw rows becomes clean rows, with all that decides about them.

What it makes follows from the batch and the settings alone, so that any process can do it, and once is enough.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from components.core import id_index
from components.data.cleaning.quality import Boilerplate
from components.data.cleaning.rows import CHANGES, CONFIDENCE, PERSONAL, REASON, VALUE, clean_documents, clean_examples
from components.data.duplicates import sketches
from components.data.duplicates.near import RowFacts
from components.data.duplicates.sketches import sketch
from components.data.settings import Prepare
from components.data.tables.records import DOCUMENTS, EXAMPLES, SPLITS, all_texts, split_of, split_text

STORED = {"documents": DOCUMENTS.append(CONFIDENCE), "examples": EXAMPLES}
SPLIT = pa.field("split_number", pa.uint8())  # in SPLITS, that the row's own text falls in
WHOLE = pa.field("whole", pa.int64())  # the parts of a document have the same number
KEY = pa.field("key", pa.binary(16))  # of equal rows the same one
CODE = (  # what makes the rows of a chunk
    "core/id_index.py",
    "core/language_tag.py",
    "data/cleaning",
    "data/duplicates",
    "data/privacy",
    "data/settings.py",
    "data/tables",
    "data/takedown.py",
)
BETWEEN = "\u241e"  # texts of a row, so that none ends within the next
_BORDERS = (  # from the coarsest to the finest; a match ends where a part may end
    re.compile(r"\n\n+"),
    re.compile(r"\n"),
    re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？][”’」』）]*"),
    re.compile(r"\s+"),
)
_SPACE = re.compile(r"\s*")

TableRow = dict[str, Any]
Tally = dict[str, Counter[str]]
"""Source -> how much of each kind was found in its rows, kept or not."""


class Piece(NamedTuple):
    """A row to be stored: a whole row of the raw table, or a part of a long document."""

    row: TableRow
    key: str  # two rows with equal ones are duplicates; of a document its text
    text: str  # rows with near ones are in one split
    decides: str  # the text that decides the split of the row alone
    whole: int  # the number of the text in the batch that has to be in one split


def clean(batch: pa.RecordBatch, table: str, settings: Prepare, boilerplate: Boilerplate | None) -> pa.RecordBatch:
    """The rows that are made of a batch of a raw table, dropped ones with the reason.

    Behind the columns to be stored are those that copies are found by; `tallies` of the metadata counts what was masked
    and changed.
    """
    is_documents = table == "documents"
    cleaned = clean_documents(batch, settings, boilerplate) if is_documents else clean_examples(batch, settings)
    pieces = list(_pieces(table, cleaned, settings))
    sketched = sketch(["" if piece.row["reason"] else piece.text for piece in pieces], settings.duplicates)
    keys = sketched if is_documents else sketch([piece.key for piece in pieces], None)
    wholes = [piece.whole if settings.splits.unit == "document" else number for number, piece in enumerate(pieces)]
    splits = [SPLITS.index(split_of(piece.decides, settings.splits)) for piece in pieces]
    stored = pa.schema([*STORED[table], REASON, VALUE])
    facts = {
        SPLIT: pa.array(splits, SPLIT.type),
        WHOLE: pa.array(wholes, WHOLE.type),
        KEY: sketches.digest_column(keys),
        **sketches.columns(sketched),
    }
    rows = pa.RecordBatch.from_pylist([piece.row for piece in pieces], stored)
    tallies = json.dumps([_tally(cleaned, PERSONAL), _tally(cleaned, CHANGES)])
    schema = pa.schema([*stored, *facts], {"tallies": tallies})
    return pa.RecordBatch.from_arrays([*rows.columns, *facts.values()], schema=schema)


def facts(chunk: pa.RecordBatch, table: str, place: int, settings: Prepare) -> RowFacts:
    """What decides about the rows of a clean chunk, which has a place among all chunks."""
    return RowFacts(
        ids=np.array(chunk["id"].to_pylist(), "S64"),
        documents=np.full(len(chunk), table == "documents"),
        dropped=chunk[REASON.name].is_valid().to_numpy(zero_copy_only=False),
        keys=sketches.digests(chunk[KEY.name]),
        wholes=chunk[WHOLE.name].to_numpy() + (place << 32),
        splits=chunk[SPLIT.name].to_numpy(),
        sketches=sketches.of_columns(chunk, settings.duplicates),
    )


def everything(rows: pa.RecordBatch, table: str) -> list[str]:
    """All texts of each row, "" of one that is dropped."""
    if table == "documents":
        texts = rows["text"].to_pylist()
    else:
        given = zip(rows["inputs"].to_pylist(), rows["target"].to_pylist(), strict=True)
        texts = [BETWEEN.join([*all_texts(json.loads(inputs)), target]) for inputs, target in given]
    return ["" if reason else text for text, reason in zip(texts, rows[REASON.name].to_pylist(), strict=True)]


def tallies(chunk: pa.RecordBatch) -> tuple[Tally, Tally]:
    """By source what was masked in the rows of a clean chunk, and what was changed otherwise."""
    masked, changed = (
        {source: Counter(kinds) for source, kinds in tally.items()}
        for tally in json.loads(chunk.schema.metadata[b"tallies"])
    )
    return masked, changed


def _tally(batch: pa.RecordBatch, kinds: pa.Field) -> Tally:
    tally: Tally = {}
    for source, found in zip(batch["source"].to_pylist(), batch[kinds.name].to_pylist(), strict=True):
        kinds_of_source = tally.setdefault(source, Counter())
        for kind, count in found:
            kinds_of_source[kind] += count
    return tally


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


def parts(text: str, max_characters: int) -> list[str]:
    """Parts that, joined, are the text: each of at most `max_characters`, white space at its end apart.

    A part ends at the last border of the coarsest kind in the second half of what fits, or else after `max_characters`.
    None is blank unless the text is.
    docs/decisions.md, "Long documents are divided"
    """
    return list(_parts(text, max_characters))


def _parts(text: str, limit: int) -> Iterator[str]:
    start = 0
    while len(text) - start > limit:
        end = _skip_space(text, _border(text, start, limit))
        if end == len(text):
            break
        yield text[start:end]
        start = end
    yield text[start:]


def _border(text: str, start: int, limit: int) -> int:
    """Where the part that begins at `start` ends."""
    for border in _BORDERS:
        ends = [match.end() for match in border.finditer(text, start + limit // 2, start + limit)]
        if ends:
            return ends[-1]
    return start + limit


def _skip_space(text: str, place: int) -> int:
    """The place after the white space that begins there: it belongs to the part before."""
    match = _SPACE.match(text, place)
    return match.end() if match else place
