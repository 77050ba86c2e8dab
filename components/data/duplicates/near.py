"""Near copies among sketched texts: candidates share a band, and are verified by the shingles themselves."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from components.data.duplicates.sketches import COMPARED, Sketches, bands, joined
from components.data.duplicates.tokens import Indices
from components.data.settings import Duplicates

COMPARISONS = 32  # of a text with others that share its band: more would take quadratic time where thousands do
DOUBT = 3.5  # standard deviations of the estimate, below the threshold, from which a candidate is not verified
_CHUNK = 1 << 18  # candidates whose signatures are compared at once


class Collection:
    """Sketches of texts that arrive batch by batch. Their shingles, which are the most of them, wait in a file."""

    def __init__(self, path: Path, settings: Duplicates | None) -> None:
        self.settings = settings
        self._path = path
        self._file = path.open("wb")
        self._parts: list[Sketches] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._path.unlink()

    def add(self, sketches: Sketches) -> None:
        """Add the sketches of some texts, behind those that are there."""
        sketches.shingles.tofile(self._file)
        self._parts.append(sketches._replace(shingles=sketches.shingles[:0]))

    def texts(self) -> "Texts":
        """All texts that were added."""
        self._file.flush()
        shingles = np.memmap(self._path, np.uint32, "r") if self._path.stat().st_size else np.zeros(0, np.uint32)
        return Texts(joined(self._parts, self.settings)._replace(shingles=shingles), self.settings)


class Texts:
    """Sketched texts, by their numbers in the order in which they were added."""

    def __init__(self, sketches: Sketches, settings: Duplicates | None) -> None:
        self.digests = sketches.digests
        self._sketches = sketches
        self.threshold = settings.threshold if settings else 1.0
        self._bands = bands(self.threshold)[0] if settings else 0
        self._row = np.full(len(sketches.digests), -1)
        self._row[sketches.long] = np.arange(len(sketches.long))
        self._starts = np.concatenate([[0], np.cumsum(sketches.counts)])

    def shingles(self, text: int) -> NDArray[np.uint32]:
        """The distinct shingles of a long text, sorted."""
        row = self._row[text]
        return self._sketches.shingles[self._starts[row] : self._starts[row + 1]]

    def similarity(self, one: int, other: int) -> float:
        """The Jaccard similarity of the shingles of two long texts."""
        first, second = self.shingles(one), self.shingles(other)
        common = len(np.intersect1d(first, second, assume_unique=True))
        return common / (len(first) + len(second) - common)

    def near(self, texts: Indices) -> Iterator[tuple[int, int]]:
        """Pairs (earlier, later) of these texts that may be near copies, for `similarity` to verify.

        Of each text all pairs in which it is the later one come together, the most similar first by estimate, and the
        texts come in the order given, which is that of preference.
        """
        given = texts[self._row[texts] >= 0]
        rows = self._row[given]
        least = self.threshold - DOUBT * (self.threshold * (1 - self.threshold) / COMPARED) ** 0.5
        found = [np.zeros((0, 3), np.int64)]
        for band in range(self._bands):
            for earlier, later in _sharing(self._sketches.bands[rows, band]):
                agreeing = self._agreeing(rows[earlier], rows[later])
                likely = agreeing >= least * COMPARED
                found.append(np.stack([later[likely], -agreeing[likely], earlier[likely]], 1))
        for later, _, earlier in np.unique(np.concatenate(found), axis=0):
            yield int(given[earlier]), int(given[later])

    def _agreeing(self, one: Indices, other: Indices) -> Indices:
        """How many of the minima agree of each pair of rows."""
        signatures = self._sketches.signatures
        pieces = [slice(start, start + _CHUNK) for start in range(0, len(one), _CHUNK)]
        counts = [np.count_nonzero(signatures[one[piece]] == signatures[other[piece]], axis=1) for piece in pieces]
        return np.concatenate([np.zeros(0, np.int64), *counts])


def _sharing(keys: NDArray[np.uint32]) -> Iterator[tuple[Indices, Indices]]:
    """Pairs (earlier, later) of places with the same key: each place with the first `COMPARISONS` of its key."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(keys) else np.zeros(0, np.int64)
    sizes = np.diff(np.r_[begins, len(keys)])
    starts = np.repeat(begins, sizes)
    place = np.arange(len(keys))
    for number in range(min(COMPARISONS, int(sizes.max(initial=0)))):
        later = place[starts + number < place]
        if len(later):
            yield order[starts[later] + number], order[later]


class Clusters:
    """Disjoint sets of numbers (union-find with path halving)."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, number: int) -> int:
        """The least number of the set."""
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Make one set of two."""
        first, second = sorted((self.find(one), self.find(other)))
        self._parent[second] = first

    def roots(self) -> Indices:
        """The least number of each one's set."""
        return np.array([self.find(number) for number in range(len(self._parent))], np.int64)


def first_of(keys: NDArray[Any], order: Indices) -> Indices:
    """For each of the rows in an order the first one with the same key; a row outside of the order has itself."""
    _, first, inverse = np.unique(keys[order], return_index=True, return_inverse=True)
    result = np.arange(len(keys))
    result[order] = order[first[inverse]]
    return result
