"""Lines that stand in many documents of a source: headers, footers, menus, licences.

They leave every document that has them. The number of documents decides, so the order of rows does not matter.
docs/decisions.md, "Boilerplate is lines, counted on disk"
"""

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.data.settings import BoilerplateLimits

_FILES = 16  # that the counts are divided into, of which one is in memory at once
_COUNT = np.dtype([("line", np.uint64), ("documents", np.uint32)])


class Boilerplate:
    """The lines of each source that are boilerplate."""

    def __init__(self, lines: frozenset[int], min_characters: int) -> None:
        self._lines = lines
        self._min_characters = min_characters

    def __len__(self) -> int:
        return len(self._lines)

    def has(self, line: str, source: str) -> bool:
        return len(line) >= self._min_characters and _digest(line, source) in self._lines


class LineCounts:
    """In how many documents each line of a source stands, kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, counts: NDArray[Any]) -> None:
        """Add the counts of a batch, as `count` returns them."""
        for number in range(_FILES):
            with (self._folder / str(number)).open("ab") as file:
                counts[counts["line"] % _FILES == number].tofile(file)

    def boilerplate(self, limits: BoilerplateLimits) -> Boilerplate:
        found = set[int]()
        for path in self._folder.iterdir():
            counts = np.fromfile(path, _COUNT)
            lines, places = np.unique(counts["line"], return_inverse=True)
            documents = np.bincount(places, counts["documents"])
            found.update(lines[documents >= limits.min_documents].tolist())
        return Boilerplate(frozenset(found), limits.min_characters)


def count(documents: Iterable[tuple[str, str]], min_characters: int) -> NDArray[Any]:
    """The lines of a batch of documents (source, text) that are long enough, and in how many documents they stand."""
    found = [
        line
        for source, text in documents
        for line in {_digest(line, source) for line in text.split("\n") if len(line) >= min_characters}
    ]
    counts = np.unique(np.array(found, np.uint64), return_counts=True)
    return np.rec.fromarrays(counts, dtype=_COUNT)


def _digest(line: str, source: str) -> int:
    """A hash of a line of a source, the same for those that differ in white space."""
    return int.from_bytes(blake2b(f"{source}\n{' '.join(line.split())}".encode(), digest_size=8).digest())
