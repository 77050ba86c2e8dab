"""Reviews with the sentiment assigned by their readers or sellers."""

import bz2
import csv
import io
from collections.abc import Iterator

from components.data.sources.archive import Archive
from components.data.tables.records import Example, Record


def parse_column(
    archive: Archive, member: str, task: str, text: str, category: str, labels: dict[str, str]
) -> Iterator[Record]:
    """Examples of a bzip2 CSV file with the columns `text` and `category`; only categories in `labels` count."""
    rows = csv.DictReader(io.StringIO(bz2.decompress(archive.read(member)).decode()))
    for number, row in enumerate(rows):
        if row[category] in labels:
            yield Example(str(number), task, {"text": row[text]}, labels[row[category]])


def parse_files(archive: Archive, task: str, members: dict[str, str]) -> Iterator[Record]:
    """Examples of text files, one review per line and one label per file; no duplicates, none that has two labels."""
    lines = {label: dict.fromkeys(_lines(archive, member)) for label, member in members.items()}
    for label, texts in lines.items():
        others = set().union(*(other for name, other in lines.items() if name != label))
        for number, text in enumerate(texts):
            if text not in others:
                yield Example(f"{label}/{number}", task, {"text": text}, label)


def _lines(archive: Archive, member: str) -> list[str]:
    return [line.strip() for line in archive.read(member).decode().splitlines() if line.strip()]
