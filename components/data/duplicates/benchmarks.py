"""Texts that nobody may train on: those of benchmarks, from files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from components.core.errors import BadData, BadSettings
from components.data.sources import readers
from components.data.sources.datafile import DataFile, Unreadable, on_disk

FOLDER = Path("data/benchmarks")


class Item(NamedTuple):
    """A text that nobody may train on."""

    benchmark: str  # what it belongs to, for the reason of a rejection
    place: str  # in there: an id, or a file and the line
    text: str


def read(paths: Sequence[str]) -> Iterator[Item]:
    """The texts of files of benchmarks: of a text file each line, of a file of rows each text in a row.

    Raises `BadSettings` for a file that is missing, of an unknown kind or outside of `data/benchmarks`, and `BadData`.
    """
    for path in map(Path, paths):
        if not path.is_relative_to(FOLDER) or ".." in path.parts or not path.is_file():
            raise BadSettings(
                f"params.yaml: prepare.benchmarks: {path} is no file below {FOLDER}, where DVC sees when one changes"
            )
        readers.check(str(path))
        for number, row in readers.read(DataFile(str(path), *on_disk(path))):
            if isinstance(row, Unreadable):
                raise BadData(f"{path}, row {number}: {row.reason}")
            for line, text in _texts(path, number, row):
                yield Item(f"benchmark {path.relative_to(FOLDER)}", f"{path.name}:{line}", text)


def _texts(path: Path, number: int, row: object) -> Iterator[tuple[int, str]]:
    for text in strings(row):
        yield from enumerate(text.splitlines(), start=1) if readers.format_of(path.name) == "txt" else [(number, text)]


def strings(value: object) -> Iterator[str]:
    """The texts in a row, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from strings(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from strings(part)
