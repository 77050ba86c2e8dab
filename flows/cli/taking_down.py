"""What `lmforge data takedown` writes: entries with digest and sketch of the text, where the raw rows still have it."""

import json
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.core import params
from components.core.errors import BadSettings
from components.core.id_index import PART_DIGITS
from components.data import takedown
from components.data.cleaning.rows import clean_text
from components.data.settings import Prepare
from components.data.tables.records import SCHEMAS, identity, main_text
from components.data.takedown import TakedownEntry
from components.stages import prepare


def entries(
    ids: Sequence[str], source: str | None, key: str | None, text: Path | None, reason: str
) -> list[TakedownEntry]:
    """The entries for these rows and this text. Raises `BadSettings` when none is given, or none can be meant."""
    for wrong in (given for given in ids if not re.fullmatch("[0-9a-f]{64}", given)):
        raise BadSettings(f"{wrong!r} is no id: ids are hexadecimal digests of 64 digits")
    if (source is None) != (key is None):
        raise BadSettings("a row needs both --source and --key")
    rows = [*ids, *([identity(source, key)] if source is not None and key is not None else [])]
    listed: list[tuple[str | None, str | None]] = [(row, _text_of(row)) for row in rows]
    if text is not None:
        listed.append((None, _read(text)))
    if not listed:
        raise BadSettings("say what leaves: an id, --source with --key, or --text")
    return [_entry(row, text, reason) for row, text in listed]


def _entry(row: str | None, text: str | None, reason: str) -> TakedownEntry:
    if text is None:
        return TakedownEntry(id=row, date=date.today(), reason=reason)
    return takedown.of_text(clean_text(text, params.read("prepare", Prepare)), id=row, date=date.today(), reason=reason)


def _read(text: Path) -> str:
    try:
        return text.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise BadSettings(f"{text} is not UTF-8: {error}") from None


def _text_of(row: str) -> str | None:
    """The raw text of a row; None when the raw tables do not have it (any more)."""
    for table, schema in SCHEMAS.items():
        folder = prepare.RAW / table
        if folder.exists():
            rows = ds.dataset(folder, schema, format="parquet")
            begins = pc.starts_with(pc.field("id"), row[:-PART_DIGITS])
            for found in rows.to_table(filter=begins).to_pylist():
                return _text(table, found)
    return None


def _text(table: str, row: dict[str, Any]) -> str:
    return str(row["text"]) if table == "documents" else main_text(json.loads(row["inputs"])) or ""
