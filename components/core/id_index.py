"""An index from row ids to row numbers: a sorted array on disk, memory-mapped and searched by bisection.

However many rows there are, a search reads a few dozen pages. Ids are hexadecimal digests, see
`components.data.tables.records`. Their first 64 bits are kept, which two of a billion ids share with a chance of 3%.
docs/decisions.md, "An index of two files"
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from components.core.errors import BadSettings

DIGITS = 16  # of an id, in hexadecimal, that are stored
PART_DIGITS = 8  # at the end of the id of a document's part, which count the parts; the others are the document's


def write(path: Path, ids: Sequence[str], numbers: ArrayLike) -> None:
    """Write the number of each id as uint64 [2, rows]: the sorted ids in the first row, their numbers in the second.

    An id may occur several times.
    """
    keys = np.fromiter((int(identity[:DIGITS], 16) for identity in ids), np.uint64, len(ids))
    numbers = np.asarray(numbers, np.uint64)
    order = np.lexsort((numbers, keys))
    np.save(path, np.stack([keys[order], numbers[order]]))


def part(document: str, number: int) -> str:
    """The id of the part of a document with a number from 1: it begins as the document's id does."""
    return f"{document[:-PART_DIGITS]}{number:0{PART_DIGITS}x}"


def is_part(identity: str, document: str) -> bool:
    """Whether an id is that of a part of the document with a given whole id."""
    return len(identity) == len(document) and identity[:-PART_DIGITS] == document[:-PART_DIGITS]


def known(path: Path, ids: Sequence[str]) -> NDArray[np.bool_]:
    """Whether the index has each of the ids."""
    keys = np.load(path, mmap_mode="r")[0]
    wanted = np.fromiter((int(identity[:DIGITS], 16) for identity in ids), np.uint64, len(ids))
    places = np.searchsorted(keys, wanted)
    found: NDArray[np.bool_] = np.zeros(len(ids), np.bool_)
    inside = places < len(keys)
    found[inside] = keys[places[inside]] == wanted[inside]
    return found


def find(path: Path, beginning: str) -> NDArray[np.int64]:
    """The numbers of the id that begins with these digits, ascending; empty when there is no such id.

    Raises `BadSettings` when several ids begin with them.
    """
    digits = beginning[:DIGITS].lower()
    try:
        ends = np.array([int(digits.ljust(DIGITS, filling), 16) for filling in "0f"], np.uint64)
    except ValueError:
        raise BadSettings(f"{beginning!r} is no id: ids are hexadecimal digests of 64 digits") from None
    keys, numbers = np.load(path, mmap_mode="r")
    first, last = np.searchsorted(keys, ends[0], "left"), np.searchsorted(keys, ends[1], "right")
    if first < last and keys[first] != keys[last - 1]:
        raise BadSettings(f"several ids begin with {beginning}: give more of its digits")
    return np.array(numbers[first:last], np.int64)
