"""Articles, one text file each."""

from collections.abc import Iterator

from components.data.sources.archive import Archive
from components.data.tables.records import Document, Record


def parse(archive: Archive, members: str) -> Iterator[Record]:
    """One document per file."""
    for member in archive.names(members):
        yield Document(member, archive.read(member).decode("utf-8", errors="replace"))
