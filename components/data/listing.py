"""`data/listing.json`: the local files that `ingest` reads and that no pin in the catalogue covers.

Git tracks the listing and `ingest` depends on it, so that new data make the stage stale, and a commit records what
was read. For each source it has its files with their sha256.
docs/decisions.md, "Data files are listed by their sha256 in a file that git tracks"
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
    """The sources of the catalogue that `ingest` reads with the settings of the current folder."""
    return read_by(params.read("ingest", Ingest))


def read_by(settings: Ingest) -> list[Source]:
    """The sources of the catalogue that `ingest` reads with given settings: of accepted licences only.

    docs/decisions.md, "Press text is off"
    """
    return [
        source
        for source in catalog.load(Path(settings.sources))
        if source.license in settings.licenses and set(source.yields) & set(settings.take)
    ]


def look() -> Listing:
    """The files that exist now. Raises `BadSettings` for a source that names no file."""
    found = {source.name: digests(source.local_files()) for source in sources()}
    return {name: files for name, files in found.items() if files}


def refresh() -> Listing:
    """Update the listing; the file is left alone when nothing changed."""
    found = look()
    if not LISTING.exists() or read() != found:
        write_atomically(LISTING, _dumped(found))
    return found


def _dumped(found: Listing) -> str:
    """As people can read it, unless a name is no Unicode: JSON keeps such a one only in ASCII."""
    readable = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        readable.encode()
    except UnicodeEncodeError:
        return json.dumps(found, indent=1, sort_keys=True) + "\n"
    return readable


def read(path: Path = LISTING) -> Listing:
    """The content of the listing; empty when there is none."""
    listing: Listing = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return listing


def digest(listing: Listing) -> str:
    """The sha256 of a listing."""
    return hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()


def arrived(before: Listing, now: Listing) -> Iterator[tuple[str, str]]:
    """The new and the changed files, each with its source: those with a content that the source did not have."""
    for source, files in now.items():
        known = set(before.get(source, {}).values())
        yield from ((source, path) for path, content in files.items() if content not in known)
