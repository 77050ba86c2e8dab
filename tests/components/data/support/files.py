"""A source of files of a test, and what it makes of them."""

from pathlib import Path

from components.core import params
from components.data.sources.digests import digests
from components.data.sources.files import FilesSource
from components.data.tables.records import Document, Record, Rejected

TEXT = {"text": "text"}


def source(path: Path | str, sha256: str | None = None, **changes: object) -> FilesSource:
    entry = {
        "name": "notes",
        "kind": "files",
        "license": "MIT",
        "languages": ["en"],
        "yields": ["documents"],
        "files": [{"path": str(path), "sha256": sha256}],
        "documents": TEXT,
    }
    sections = [changes.get(name) for name in ("examples", "tags")]
    tasks = [section["task"] for section in sections if isinstance(section, dict)]
    taken = tasks if "documents" in changes and not changes["documents"] else ["documents", *tasks]
    return params.parse(entry | {"yields": taken or ["documents"]} | changes, FilesSource, "sources.yaml: notes")


def read(source: FilesSource) -> list[Record | Rejected]:
    """All records, of the files as they are now."""
    return list(source.records(digests(source.local_files())))


def texts(path: Path | str, **changes: object) -> list[str | None]:
    """The texts of the documents; bad rows are not among them."""
    return [record.text for record in read(source(path, **changes)) if isinstance(record, Document)]


def rejected(path: Path | str, **changes: object) -> list[str]:
    """The bad rows."""
    return [str(record) for record in read(source(path, **changes)) if isinstance(record, Rejected)]
