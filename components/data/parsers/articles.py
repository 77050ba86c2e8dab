"""Articles, one text file each."""

from collections.abc import Iterator

from components.data.sources.archive import Archive
from components.data.tables.records import Document, Example, Record


def parse(archive: Archive, members: str) -> Iterator[Record]:
    """One document per file."""
    for member in archive.names(members):
        yield Document(member, _text(archive, member))


def parse_headlines(archive: Archive, members: str, task: str) -> Iterator[Record]:
    """Examples that ask for the headline of an article: its first line, which the text then lacks."""
    for member in archive.names(members):
        headline, _, text = _text(archive, member).partition("\n")
        yield Example(member, task, {"text": text.strip()}, headline)


def _text(archive: Archive, member: str) -> str:
    return archive.read(member).decode("utf-8", errors="replace")
