"""Chinese dictionaries, a zip inside the wheel, one entry per line."""

import io
import itertools
import zipfile
from collections.abc import Iterable, Iterator

from components.data.sources.archive import Archive
from components.data.tables.records import Document, Record


def parse_words(archive: Archive, member: str, entries_per_document: int) -> Iterator[Record]:
    """Pages of entries: the word, then its definition."""
    entries = (line.split("\t") for line in _lines(archive, member))
    return _pages((f"{word}：{definition}" for word, definition in entries), entries_per_document)


def parse_characters(archive: Archive, member: str, entries_per_document: int) -> Iterator[Record]:
    """Pages of entries: the character, then its readings with their meanings; `~` stands for the character."""
    fields = (line.split("\t") for line in _lines(archive, member))
    entries = (f"{row[0]}：{row[-1].replace('~', row[0])}" for row in fields if row[-1])
    return _pages(entries, entries_per_document)


def _pages(entries: Iterable[str], size: int) -> Iterator[Document]:
    remaining = iter(entries)
    for number in itertools.count():
        page = list(itertools.islice(remaining, size))
        if not page:
            return
        yield Document(str(number), "\n".join(page))


def _lines(archive: Archive, member: str) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(archive.read(member))) as inner:
        return inner.read(inner.namelist()[0]).decode().splitlines()
