"""What becomes of cleaned rows: which are copies of others, and which split each of the others is in.

Whatever the order of the rows, the same ones are kept: of copies the one with the first id.
docs/decisions.md, "One of each cluster of near copies"
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.data.duplicates.near import Clusters, Collection, Texts, first_of
from components.data.duplicates.sketches import Sketches
from components.data.duplicates.tokens import Indices
from components.data.settings import Duplicates


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
