"""The takedown list: rows that leave the training data from the next run on, with all rows of an equal or near text."""

import datetime
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import yaml
from annotated_types import Len, Predicate
from numpy.typing import NDArray

from components.core import params
from components.core.errors import BadSettings
from components.core.files import write_atomically
from components.core.id_index import PART_DIGITS
from components.data.duplicates.sketches import COMPARED, sketch
from components.data.settings import Duplicates
from components.data.tables.records import identity

PATH = Path("data/takedown.yaml")
REASON = "takedown"
# Not those of params.yaml: the sketches of the list have to mean the same in every run.
SKETCHED = Duplicates(threshold=0.8, shingle_words=2, min_words=20)
ALIKE = 0.7  # two standard deviations below 0.8: of copies that are alike to 0.8 some 98% leave
BY_CHANCE = 1 / 256  # equal last bytes of different minima
_NO_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True, kw_only=True)
class TakedownEntry:
    """A row by its id or by its source and its key there, or a text by its digest; and when and why it was listed.

    The text itself is not kept: `sketch`, which its near copies are found by, does not lead back to it.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    id: str | None = None
    source: str | None = None
    key: str | None = None
    text: str | None = None  # see `digest`
    sketch: Annotated[str, Predicate(lambda sketch: len(bytes.fromhex(sketch)) == COMPARED)] | None = None
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

    def near(self, texts: Sequence[str]) -> dict[int, float]:
        """The numbers of the texts that are near copies of a listed one, with their similarity by estimate."""
        if not len(self._sketches):
            return {}
        sketches = sketch(texts, SKETCHED)
        best = np.zeros(len(sketches.long))
        for listed in self._sketches:
            np.maximum(best, (sketches.signatures == listed).mean(axis=1), out=best)
        similarity = (best - BY_CHANCE) / (1 - BY_CHANCE)
        alike = similarity >= ALIKE
        return dict(zip(sketches.long[alike].tolist(), similarity[alike].tolist(), strict=True))

    @cached_property
    def _rows(self) -> dict[str, TakedownEntry]:
        return {_whole(entry.row): entry for entry in self.entries if entry.row}

    @cached_property
    def _texts(self) -> frozenset[str]:
        return frozenset(entry.text for entry in self.entries if entry.text)

    @cached_property
    def _sketches(self) -> NDArray[np.uint8]:
        listed = sorted({entry.sketch for entry in self.entries if entry.sketch})
        return np.frombuffer(bytes.fromhex("".join(listed)), np.uint8).reshape(-1, COMPARED)


def of_text(text: str, **row_and_reason: Any) -> TakedownEntry:
    """An entry that a clean text and its copies leave by."""
    signatures = sketch([text], SKETCHED).signatures
    near = signatures[0].tobytes().hex() if len(signatures) else None  # None: too short to have near copies
    return TakedownEntry(text=digest(text), sketch=near, **row_and_reason)


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
