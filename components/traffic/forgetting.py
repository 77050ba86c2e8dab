"""The rows of a user leave: answers, feedback, and the examples that were made of it."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.traffic import files, learning, users
from components.traffic.files import ANSWERS, FEEDBACK


@dataclass(frozen=True)
class Removed:
    """How many rows left."""

    answers: int
    feedback: int
    examples: int


def forget(folder: Path, exported: Path, user: str) -> Removed:
    """Remove what was kept of a user before now, also what servers still hold in memory.

    Each file is replaced as a whole. Feedback leaves with the answer that it is about, whoever gave it.
    """
    if not folder.exists():
        return Removed(0, 0, 0)
    name = users.pseudonym(folder, user)
    with files.locked(folder):
        files.remember_forgotten(folder, name)
        ids = _ids(folder, name)
        answers = _remove(folder, ANSWERS, name, ids)
        feedback = _remove(folder, FEEDBACK, name, ids)
        before = learning.read(exported)
        kept = [row for row in before if row["user"] != name and row["id"] not in ids]
        if len(kept) < len(before):
            learning.write(exported, kept)
    return Removed(answers, feedback, len(before) - len(kept))


def _ids(folder: Path, name: str) -> set[str]:
    """The requests of the user."""
    table = files.rows(folder, ANSWERS)
    return set(table.filter(pc.equal(table["user"], name))["id"].to_pylist())


def _remove(folder: Path, table: str, name: str, ids: set[str]) -> int:
    removed = 0
    for path in files.paths(folder, table):
        rows = pq.read_table(path, schema=files.SCHEMAS[table])
        theirs = pc.or_(
            pc.fill_null(pc.equal(rows["user"], name), False), pc.is_in(rows["id"], pa.array(ids, pa.string()))
        )
        kept = rows.filter(pc.invert(theirs))
        if kept.num_rows == rows.num_rows:
            continue
        removed += rows.num_rows - kept.num_rows
        if kept.num_rows:
            files.replace(path, kept)
        else:
            path.unlink()
    return removed
