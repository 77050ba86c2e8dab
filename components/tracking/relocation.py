"""A store whose folder was moved or copied: MLflow keeps absolute paths, which then lead to the former folder.

They are corrected before the store is used, so that a copy neither reads nor writes what belongs to the original.
docs/decisions.md, "MLflow's absolute paths are rewritten when a folder has moved"
"""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""The tables and columns in which MLflow stores the location of artifacts."""

log = logging.getLogger("lmforge")


def former(database: Path, experiment: str) -> str | None:
    """The former location of the artifacts, as a URI, if the folder of the SQLite file was moved; else None."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, timeout=60)) as connection:
        return _former(connection, database, experiment)


def settle(database: Path, experiment: str) -> None:
    """Replace the former path by the current one in every location that begins with it."""
    if former(database, experiment) is None:
        return
    with closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")  # other processes wait, then have nothing left to do
        old, new = _former(connection, database, experiment), artifacts(database)
        if old is not None:
            for table, column in LOCATIONS:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                    f" WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )
        connection.execute("COMMIT")
    if old is not None:
        log.warning("this folder was moved or copied: MLflow's paths to %s now lead to %s", old, new)


def artifacts(database: Path) -> str:
    """The location of the artifacts of a store, next to its SQLite file, as a URI."""
    return (database.parent / "artifacts").resolve().as_uri()


def _former(connection: sqlite3.Connection, database: Path, experiment: str) -> str | None:
    """The former location, if it is local: a location of another kind was chosen by an MLflow server."""
    query = "SELECT artifact_location FROM experiments WHERE name = ? AND artifact_location LIKE 'file:///%/artifacts'"
    found = connection.execute(query, (experiment,)).fetchone()
    return str(found[0]) if found and found[0] != artifacts(database) else None
