"""A file of rows: its name, how its bytes are opened, and what its source says about how it is read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO, ClassVar, Literal

from annotated_types import Len

Format = Literal[
    "txt", "md", "html", "pdf", "json", "jsonl", "csv", "tsv", "parquet", "arrow", "conll", "wiki", "mbox", "warc"
]


@dataclass(frozen=True)
class Unreadable:
    """A row, or a value of a row, that cannot be read, and why. The rows behind it can be."""

    reason: str


RawRow = Mapping[str, object]
Numbered = Iterator[tuple[int, RawRow | Unreadable]]
"""Rows with their numbers: of the line where a row ends or, where rows are no lines, of the row; both from 1."""


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The keys of a source that say how its files are read, where they do not say so themselves."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    columns: Annotated[tuple[str, ...], Len(1)] | None = None  # of CSV and TSV without a header, and of CoNLL
    format: Format | None = None  # where the endings of the files say none, or another one
    encoding: str | None = None  # otherwise it is detected
    separator: Annotated[str, Len(1, 1)] | None = None  # of CSV; otherwise it is detected
    quote: Annotated[str, Len(0, 1)] | None = None  # of CSV and TSV; "" for none


@dataclass(frozen=True)
class DataFile:
    """A file on disk or inside an archive.

    `languages` of its text tell old encodings apart. `note` is called with what somebody has to know about a file
    that was read all the same.
    """

    name: str
    open: Callable[[], BinaryIO]
    size: int  # in bytes, as it is stored
    options: ReadOptions = ReadOptions()
    languages: tuple[str, ...] = ()
    note: Callable[[str], None] = field(default=lambda _: None)

    @property
    def shown(self) -> str:
        """The name in one line of UTF-8."""
        return shown(self.name)


def on_disk(path: Path) -> tuple[Callable[[], BinaryIO], int]:
    """How to open a file of this machine, and its size."""
    return lambda: path.open("rb"), path.stat().st_size


def shown(name: str) -> str:
    """A file's name, of any bytes, in one line of UTF-8: what does not fit stands as `\\xef`, `\\n`."""
    readable = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in readable)
