"""The files of this machine that `ingest` reads and that no pin in the catalogue holds: `data/listing.json`.

Git tracks the listing and `ingest` depends on it, so that data which arrive make the stage run, and a commit says what
was read. For each source it has its files with their sha256.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from components.core import params
from components.core.files import write_atomically
from components.data.settings import Ingest
from components.data.sources import catalog
from components.data.sources.digests import digests
from components.data.sources.source import Source

LISTING = Path("data/listing.json")

Listing = dict[str, dict[str, str]]
"""Source -> path -> sha256."""


def sources() -> list[Source]:
    """Those of the catalogue that `ingest` reads by the settings of the current folder."""
    return read_by(params.read("ingest", Ingest))


def read_by(settings: Ingest) -> list[Source]:
    """Those of the catalogue that `ingest` reads by some settings."""
    return [
        source
        for source in catalog.load(Path(settings.sources))
        if source.license in settings.licenses and set(source.yields) & set(settings.take)
    ]


def look() -> Listing:
    """What is there now. Raises `BadSettings` for a source that names no file."""
    found = {source.name: digests(source.local_files()) for source in sources()}
    return {name: files for name, files in found.items() if files}


def refresh() -> Listing:
    """Bring the listing up to date; the file is left alone when nothing changed."""
    found = look()
    if not LISTING.exists() or read() != found:
        write_atomically(LISTING, json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return found


def read(path: Path = LISTING) -> Listing:
    """What the listing says; nothing when there is none."""
    listing: Listing = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return listing


def digest(listing: Listing) -> str:
    """The sha256 of a listing."""
    return hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()


def arrived(before: Listing, now: Listing) -> Iterator[tuple[str, str]]:
    """The new and the changed files, each with its source: what holds a content that the source did not have."""
    for source, files in now.items():
        known = set(before.get(source, {}).values())
        yield from ((source, path) for path, content in files.items() if content not in known)
