"""Measures for validation: a few short columns per row, computed batch by batch, so that no text stays in memory.

docs/decisions.md, "Great Expectations sees no texts"
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from components.core.errors import BadData
from components.data.duplicates.near import Collection, straddling
from components.data.duplicates.sketches import sketch
from components.data.privacy.masking import mask
from components.data.settings import Duplicates, OwnRule
from components.data.tables.records import SCHEMAS, SPLITS, main_text, split_text
from components.data.tables.shards import batches
from components.data.validation import own_rules

Measures = dict[str, Any]
Needed = Mapping[str, Sequence[str]]
"""Task -> the inputs that its examples have to have."""

BROKEN = "broken: "  # begins the column of a rule of the user
GROUPS = {"documents": "source", "examples": "task"}


def measure(
    root: Path, needed: Needed, duplicates: Duplicates | None, rules: Sequence[OwnRule] = ()
) -> dict[str, pd.DataFrame]:
    """The measures of those of the tables `documents` and `examples` below a folder that have rows.

    Each rule of the user has a column of its name. Raises `BadData` when none has.
    """
    with TemporaryDirectory() as scratch, Collection(Path(scratch) / "shingles", duplicates) as near:
        measured = {
            table: pd.DataFrame(_rows(root, table, needed, near, [rule for rule in rules if rule.table == table]))
            for table in SCHEMAS
        }
        frames = {table: frame for table, frame in measured.items() if not frame.empty}
        if not frames:
            raise BadData(f"{root} has neither documents nor examples: see what the sources yield")
        _add_similarity(frames, near)
    for table, frame in frames.items():
        for column, group in {"rows_of_group": GROUPS[table], "copies": "content"}.items():
            frame[column] = frame.groupby(group)[group].transform("size")
    _add_splits_of_text(frames)
    return frames


def _rows(root: Path, table: str, needed: Needed, near: Collection, rules: Sequence[OwnRule]) -> Iterator[Measures]:
    """The measures of the rows of a table; of rows in splits the texts are added to a collection, in the same order."""
    folders = {split: root / table / split for split in SPLITS if (root / table / split).exists()}
    for split, folder in (folders or {"": root / table}).items():
        for batch in batches(folder):
            rows = batch.to_pylist()
            if split:
                near.add(sketch([_decides(table, row) for row in rows], near.settings))
            judged = {rule_column(rule): own_rules.judged(rule, batch) for rule in rules if rule.table == table}
            for number, row in enumerate(rows):
                own = {column: found[number] for column, found in judged.items()}
                measures = _document(row, split) if table == "documents" else _example(row, needed, split)
                yield measures | {"split": split} | own


def rule_column(rule: OwnRule) -> str:
    """The column of what `own_rules.judged` says about the rows."""
    return f"{BROKEN}{rule.name}"


def _decides(table: str, row: Measures) -> str:
    """The text of a row that decides its split; none where the row breaks a rule."""
    if table == "documents":
        return row["text"] or ""
    inputs, problem = _inputs(row["inputs"], ())
    return "" if problem else split_text(inputs)


def _add_similarity(frames: dict[str, pd.DataFrame], near: Collection) -> None:
    """Add the similarity of each row to a near copy in another split; 0 where there is none."""
    rows = pd.concat([frame[["id", "split"]] for frame in frames.values()], ignore_index=True)
    similarity = np.zeros(len(rows))
    if (rows["split"] != "").all():
        order = np.argsort(rows["id"].to_numpy(), kind="stable")
        found = straddling(near.texts(), order, rows["split"].to_numpy())
        similarity[list(found)] = list(found.values())
    start = 0
    for frame in frames.values():
        frame["similarity_elsewhere"] = similarity[start : start + len(frame)]
        start += len(frame)


def _document(row: Measures, split: str) -> Measures:
    text = row.pop("text")
    return row | _text(text, split) | {"content": _digest(text)}


def _example(row: Measures, needed: Needed, split: str) -> Measures:
    inputs, problem = _inputs(row.pop("inputs"), needed.get(row["task"], ()))
    text = None if problem else main_text(inputs)
    target = row["target"]
    return row | {
        **_text(text, split),
        "inputs_problem": problem,
        "target_characters": None if target is None else len(target.strip()),
        "content": None if problem else _digest(f"{row['task']}\n{json.dumps(inputs, sort_keys=True)}"),
    }


def _text(text: str | None, split: str) -> Measures:
    """The measures of a text; raw rows, which have no split, may have personal data."""
    return {
        "characters": None if text is None else len(text.strip()),
        "bytes": len((text or "").encode()),
        "emails": mask(text).counts["email"] if text and split else 0,
        "text": _digest(text),
    }


def _inputs(encoded: str | None, needed: Sequence[str]) -> tuple[dict[str, str], str]:
    """The inputs of an example, and the problem with them, "" for none."""
    try:
        inputs = json.loads(encoded or "")
    except json.JSONDecodeError:
        return {}, "not JSON"
    if not isinstance(inputs, dict):
        return {}, "not an object"
    missing = next((name for name, value in inputs.items() if not isinstance(value, str)), None)
    if missing:
        return {}, f"`{missing}` is missing"
    empty = next((name for name in needed if not inputs.get(name, "").strip()), None)
    if empty:
        return {}, f"`{empty}` is empty" if empty in inputs else f"no `{empty}`, which the task needs"
    if not (main_text(inputs) or "").strip():
        return {}, "all are empty"
    return inputs, ""


def _digest(text: str | None) -> str | None:
    return None if text is None else blake2b(text.encode(), digest_size=8).hexdigest()


def _add_splits_of_text(frames: dict[str, pd.DataFrame]) -> None:
    """Add the number of splits in which the text of a row occurs, whether as a document or in an example."""
    texts = pd.concat([frame[["text", "split"]] for frame in frames.values()])
    splits = texts.groupby("text")["split"].nunique()
    for frame in frames.values():
        frame["splits_of_text"] = frame["text"].map(splits)
