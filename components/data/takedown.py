"""The takedown list: rows that leave the training data from the next run on, with all rows of an equal text."""

import datetime
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from annotated_types import Len

from components.core import params
from components.core.errors import BadSettings
from components.core.files import write_atomically
from components.core.id_index import PART_DIGITS
from components.data.tables.records import identity

PATH = Path("data/takedown.yaml")
REASON = "takedown"
_NO_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True, kw_only=True)
class TakedownEntry:
    """A row by its id or by its source and its key there, or a text by its digest; and when and why it was listed."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    id: str | None = None
    source: str | None = None
    key: str | None = None
    text: str | None = None  # see `digest`
    date: datetime.date
    reason: Annotated[str, Len(1)]

    @property
    def row(self) -> str | None:
        """The id of the row."""
        return identity(self.source, self.key) if self.source and self.key else self.id


@dataclass(frozen=True)
class Takedown:
    """The entries of the list."""

    entries: tuple[TakedownEntry, ...]

    def of(self, identity: str) -> TakedownEntry | None:
        """The entry with a row, or with the document of which it is a part."""
        return self._rows.get(_whole(identity))

    def rejects(self, identity: str, text: str) -> bool:
        """Whether a row with this clean text leaves."""
        return self.of(identity) is not None or bool(self._texts and digest(text) in self._texts)

    @cached_property
    def _rows(self) -> dict[str, TakedownEntry]:
        return {_whole(entry.row): entry for entry in self.entries if entry.row}

    @cached_property
    def _texts(self) -> frozenset[str]:
        return frozenset(entry.text for entry in self.entries if entry.text)


def digest(text: str) -> str:
    """The sha256 of the letters and digits of a text in small letters: equal for texts that differ in nothing else."""
    return hashlib.sha256(_NO_WORDS.sub("", text.casefold()).encode()).hexdigest()


def read() -> Takedown:
    """The list. Raises `BadSettings` for an entry that says neither which row nor which text."""
    content = yaml.safe_load(PATH.read_text(encoding="utf-8")) if PATH.exists() else None
    if not isinstance(content or [], list):
        raise BadSettings(f"{PATH} is no list: begin each entry with `- `")
    return Takedown(tuple(_entry(number, entry) for number, entry in enumerate(content or [], start=1)))


def add(entries: Sequence[TakedownEntry]) -> None:
    """Add entries to the end of the list."""
    listed = [*read().entries, *entries]
    heading = "".join(line for line in _lines() if line.startswith("#"))
    rows = [{name: value for name, value in asdict(entry).items() if value is not None} for entry in listed]
    write_atomically(PATH, heading + yaml.safe_dump(rows, sort_keys=False, allow_unicode=True))


def _lines() -> list[str]:
    return PATH.read_text(encoding="utf-8").splitlines(keepends=True) if PATH.exists() else []


def _entry(number: int, content: Mapping[str, Any]) -> TakedownEntry:
    entry = params.parse(content, TakedownEntry, f"{PATH}: entry {number}")
    if not entry.row and not entry.text:
        raise BadSettings(f"{PATH}: entry {number} has no `id`, no `source` with `key` and no `text`: say what leaves")
    return entry


def _whole(identity: str) -> str:
    return identity[:-PART_DIGITS]
