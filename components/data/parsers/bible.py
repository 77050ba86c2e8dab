"""The World English Bible, a CSV file with one verse per row."""

import csv
import gzip
import itertools
import re
from collections.abc import Iterator

from components.data.sources.archive import Archive
from components.data.tables.records import Document, Record

_MARKS = re.compile(r"\{[^}]*\}|&gt;")  # notes of the translators, and marks of indented lines


def parse(archive: Archive, verses: str, books: str) -> Iterator[Record]:
    """One document per chapter, headed by book and number; translators' notes are left out."""
    names = {row[0]: row[1] for row in _rows(archive, books)}
    for (book, chapter), rows in itertools.groupby(_rows(archive, verses), key=lambda row: (row[1], row[2])):
        text = " ".join(" ".join(_MARKS.sub("", row[4]).split()) for row in rows)
        yield Document(f"{book}/{chapter}", f"{names[book]} {chapter}\n{text}")


def _rows(archive: Archive, member: str) -> Iterator[list[str]]:
    lines = gzip.decompress(archive.read(member)).decode("utf-8-sig").splitlines()
    return iter(list(csv.reader(lines))[1:])
