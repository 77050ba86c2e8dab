"""Which rows are copies of others, and which split each of the others is in, by their sketches.

Candidates for near copies share a band, and are verified by the shingles themselves. Whatever the order of the rows,
the same ones are kept: of copies the one with the first id.
docs/decisions.md, "One of each cluster of near copies"
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from components.data.duplicates.sketches import COMPARED, Sketches, bands, joined
from components.data.duplicates.tokens import Indices
from components.data.settings import Duplicates

COMPARISONS = 32  # of a text with others that share its band: more would take quadratic time where thousands do
DOUBT = 3.5  # standard deviations of the estimate, below the threshold, from which a candidate is not verified
_CHUNK = 1 << 18  # candidates whose signatures are compared at once
_PAIRS = 1 << 14  # candidates whose shingles are compared at once


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
        self._counts = sketches.counts
        self._starts = np.cumsum(sketches.counts) - sketches.counts
        self._shingles_of_all = np.asarray(sketches.shingles)  # a memmap checks each access

    def near(self, texts: Indices) -> Iterator[tuple[int, int, float]]:
        """Pairs (earlier, later) of these texts that are near copies, with the Jaccard similarity of their shingles.

        Of each text all pairs in which it is the later one come together, the most similar first by estimate, and the
        texts come in the order given, which is that of preference.
        """
        given = texts[self._row[texts] >= 0]
        earlier, later = self._candidates(self._row[given])
        for start in range(0, len(earlier), _PAIRS):
            one, other = given[earlier[start : start + _PAIRS]], given[later[start : start + _PAIRS]]
            similarity = self.similarity(self._row[one], self._row[other])
            near = similarity >= self.threshold
            yield from zip(one[near].tolist(), other[near].tolist(), similarity[near].tolist(), strict=True)

    def similarity(self, one: Indices, other: Indices) -> NDArray[np.float64]:
        """The similarity of the texts of some rows with those of others: a pair's equal shingles meet when sorted."""
        pair = np.arange(len(one), dtype=np.uint64) << np.uint64(32)
        keys = np.concatenate([self._shingles(rows) | np.repeat(pair, self._counts[rows]) for rows in (one, other)])
        keys.sort()
        twice = keys[1:][keys[1:] == keys[:-1]]
        common = np.bincount((twice >> np.uint64(32)).astype(np.int64), minlength=len(one))
        return np.asarray(common / (self._counts[one] + self._counts[other] - common))

    def _shingles(self, rows: Indices) -> NDArray[np.uint64]:
        """The shingles of some rows, one behind the other."""
        counts = self._counts[rows]
        places = np.arange(counts.sum()) + np.repeat(self._starts[rows] - (np.cumsum(counts) - counts), counts)
        return np.asarray(self._shingles_of_all[places], np.uint64)

    def _candidates(self, rows: Indices) -> tuple[Indices, Indices]:
        """Places (earlier, later) among the rows that share a band, and enough minima to be near."""
        least = self.threshold - DOUBT * (self.threshold * (1 - self.threshold) / COMPARED) ** 0.5
        found = [np.zeros((3, 0), np.int64)]
        for band in range(self._bands):
            for earlier, later in _sharing(self._sketches.bands[rows, band]):
                agreeing = self._agreeing(rows[earlier], rows[later])
                likely = agreeing >= least * COMPARED
                found.append(np.stack([later[likely], -agreeing[likely], earlier[likely]]))
        pairs = np.concatenate(found, axis=1)
        pairs = pairs[:, np.lexsort(pairs[::-1])]
        is_new = np.r_[True, (pairs[:, 1:] != pairs[:, :-1]).any(0)] if pairs.shape[1] else np.zeros(0, np.bool_)
        later, _, earlier = pairs[:, is_new]
        return earlier, later

    def _agreeing(self, one: Indices, other: Indices) -> Indices:
        """How many of the minima agree of each pair of rows."""
        signatures = self._sketches.signatures
        pieces = [slice(start, start + _CHUNK) for start in range(0, len(one), _CHUNK)]
        counts = [np.count_nonzero(signatures[one[piece]] == signatures[other[piece]], axis=1) for piece in pieces]
        return np.concatenate([np.zeros(0, np.int64), *counts])


def _sharing(keys: NDArray[np.uint32]) -> Iterator[tuple[Indices, Indices]]:
    """Pairs (earlier, later) of places with the same key: each place with the first `COMPARISONS` of its key."""
    packed = np.sort((keys.astype(np.uint64) << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64))
    same = packed >> np.uint64(32)
    same = same[1:] == same[:-1]
    shared = np.r_[same, False] | np.r_[False, same] if len(keys) else np.zeros(0, np.bool_)
    order, ordered = (packed[shared] & np.uint64(2**32 - 1)).astype(np.int64), packed[shared] >> np.uint64(32)
    place = np.arange(len(order))
    begins = np.r_[True, ordered[1:] != ordered[:-1]] if len(order) else np.zeros(0, np.bool_)
    starts = np.maximum.accumulate(np.where(begins, place, 0))
    for number in range(COMPARISONS):
        later = np.flatnonzero(starts + number < place)
        if not len(later):
            return
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
    """For each of the rows in an order the first one with the same key; a row outside of the order has itself.

    Keys are numbers or bytes of a multiple of 8.
    """
    columns = np.ascontiguousarray(keys[order]).view(np.uint64).reshape(len(order), keys.itemsize // 8).T
    by = np.lexsort(columns)
    is_new = np.r_[True, (columns[:, by[1:]] != columns[:, by[:-1]]).any(0)] if len(by) else np.zeros(0, np.bool_)
    first = np.zeros(len(by), np.int64)
    first[by] = by[np.maximum.accumulate(np.where(is_new, np.arange(len(by)), 0))]
    result = np.arange(len(keys))
    result[order] = order[first]
    return result


class RowFacts(NamedTuple):
    """What decides about the rows of a batch; `documents` are those of which near copies are dropped."""

    ids: NDArray[np.bytes_]
    documents: NDArray[np.bool_]
    dropped: NDArray[np.bool_]  # by an earlier rule
    keys: NDArray[np.bytes_]  # equal rows have equal ones
    wholes: Indices  # the parts of a document that have to be in one split have the same number
    splits: NDArray[np.uint8]  # the split that the row's own text falls in
    sketches: Sketches  # of the texts that decide the split


class Rejection(NamedTuple):
    """Why a row is dropped: the row or the text of a benchmark that it repeats, and how much of it."""

    reason: str
    same_as: str
    similarity: float  # of the shingles of both, or the share of the n-grams of the other that the row has


class Decisions(NamedTuple):
    """The split of each row that has one, and the rejections of copies by the numbers of their rows."""

    splits: NDArray[np.uint8]
    rejections: dict[int, Rejection]


def decide(batches: Iterable[RowFacts], scratch: Path, settings: Duplicates | None) -> Decisions:
    """The decisions about the rows of all batches, one behind the other; a file in a folder holds shingles."""
    with Collection(scratch / "shingles", settings) as collection:
        columns = []
        for *column, sketches in batches:
            columns.append(column)
            collection.add(sketches)
        if not columns:
            return Decisions(np.zeros(0, np.uint8), {})
        ids, documents, dropped, keys, wholes, splits = map(np.concatenate, zip(*columns, strict=True))
        texts = collection.texts()
        order = np.flatnonzero(~dropped)
        order = order[np.argsort(ids[order], kind="stable")]
        same = first_of(keys, order)
        distinct = order[same[order] == order]
        near = near_copies(texts, distinct[documents[distinct]])
        first = clusters(texts, distinct[~np.isin(distinct, list(near))], wholes)
    rejections = {
        int(row): Rejection("near duplicate", ids[near[one][0]].decode(), near[one][1])
        if (one := int(same[row])) in near
        else Rejection("duplicate", ids[one].decode(), 1.0)
        for row in order
        if row != same[row] or row in near
    }
    return Decisions(splits[first], rejections)


def near_copies(texts: Texts, order: Indices) -> dict[int, tuple[int, float]]:
    """Those of some texts, in an order of preference, that are near copies, with the kept one and their similarity.

    A near copy has an earlier text that is kept, so that no two kept ones are near.
    """
    found: dict[int, tuple[int, float]] = {}
    for earlier, later, similarity in texts.near(order[first_of(texts.digests, order)[order] == order]):
        if later not in found and earlier not in found:
            found[later] = earlier, similarity
    return found


def clusters(texts: Texts, order: Indices, together: Indices) -> Indices:
    """For each row the first one of its cluster, in an order of preference: the rows that have to be in one split.

    Those are equal or near texts, and rows with the same number in `together`. RowFacts outside of the order are alone.
    """
    place = np.full(len(together), -1)
    place[order] = np.arange(len(order))
    sets = Clusters(len(order))
    equal = first_of(texts.digests, order)
    for first in (equal, first_of(together, order)):
        for row in order[first[order] != order]:
            sets.join(place[first[row]], place[row])
    for earlier, later, _ in texts.near(order[equal[order] == order]):
        sets.join(int(place[earlier]), int(place[later]))
    first = np.arange(len(together))
    first[order] = order[sets.roots()]
    return first


def straddling(texts: Texts, order: Indices, splits: NDArray[Any]) -> dict[int, float]:
    """Those of some texts that are near one of another split, with the similarity of the two."""
    found: dict[int, float] = {}
    for earlier, later, similarity in texts.near(order):
        if splits[earlier] != splits[later]:
            found |= {earlier: similarity, later: similarity}
    return found
