"""Windows over token shards, and the order in which a training run reads its rows.

The order is a shuffle that is computed for one place at a time, in both directions, and never stored.
"""

import hashlib
import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import numpy as np

from components.core.errors import BadData

WHOLE = 1 << 64
GOLDEN = 0x9E3779B97F4A7C15  # the golden ratio's part below 1, times WHOLE


def ends(sizes: Sequence[int], length: int) -> np.ndarray:
    """The number of the window after the last one of each shard, from the sizes of the shards in tokens."""
    return np.cumsum([max(0, size - 1) // length for size in sizes], dtype=np.int64)


def in_part(shard: Mapping[str, Any], part: str, source: str | None = None) -> bool:
    """Whether a shard, an entry of the manifest, belongs to all documents, or to the new or the old ones alone.

    With a source, whether it has documents of that.
    """
    if source is not None and shard["source"] != source:
        return False
    return part == "documents" or shard["new"] == (part == "new documents")


class Windows:
    """Windows of `length` + 1 tokens over memory-mapped shards, one after the other; neighbours share one token."""

    def __init__(self, shards: Sequence[Path], dtype: type[np.uint16] | type[np.uint32], length: int) -> None:
        self._shards = [np.memmap(shard, dtype, mode="r") for shard in shards if shard.stat().st_size]
        self._length = length
        self._ends = ends([len(shard) for shard in self._shards], length)

    @classmethod
    def of_split(cls, tokens: Path, split: str, length: int, part: str = "documents") -> Self:
        """The windows of a split, or of a part of it (`in_part`), from the folder that the stage `encode` wrote.

        Raises `BadData` when there is none.
        """
        manifest = json.loads((tokens / "manifest.json").read_text())
        chosen = [shard for shard in manifest["shards"] if shard["split"] == split and in_part(shard, part)]
        found = cls._of(tokens, manifest, chosen, length)
        if not len(found):
            of = "" if part == "documents" else f" of {part}"
            raise BadData(
                f"{tokens}/{split} has no {length + 1} tokens{of} in a row: add data, or lower sequence_length"
            )
        return found

    @classmethod
    def of_sources(cls, tokens: Path, split: str, length: int) -> dict[str, Self]:
        """The windows of each source that has some in a split."""
        manifest = json.loads((tokens / "manifest.json").read_text())
        shards = [shard for shard in manifest["shards"] if shard["split"] == split]
        names = dict.fromkeys(shard["source"] for shard in shards)
        of_source = {name: [shard for shard in shards if in_part(shard, "documents", name)] for name in names}
        found = {name: cls._of(tokens, manifest, chosen, length) for name, chosen in of_source.items()}
        return {name: windows for name, windows in found.items() if len(windows)}

    @classmethod
    def _of(cls, tokens: Path, manifest: Mapping[str, Any], shards: Sequence[Mapping[str, Any]], length: int) -> Self:
        dtype = np.uint16 if manifest["bytes_per_token"] == 2 else np.uint32
        return cls([tokens / shard["file"] for shard in shards], dtype, length)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def take(self, windows: np.ndarray) -> np.ndarray:
        """The given windows, int64 [B, length + 1]."""
        return np.stack([self._window(int(window)) for window in windows])

    def _window(self, window: int) -> np.ndarray:
        shard = int(np.searchsorted(self._ends, window, side="right"))
        start = (window - (self._ends[shard - 1] if shard else 0)) * self._length
        return self._shards[shard][start : start + self._length + 1].astype(np.int64)


def order(indices: np.ndarray, size: int, seed: int) -> np.ndarray:
    """The items in 0..size-1 at the given places (0, 1, ...) of an endless shuffle; each epoch visits every item once.

    A Feistel network permutes the next power of four, and a result beyond the size is permuted again
    (cycle walking: Black and Rogaway, https://web.cs.ucdavis.edu/~rogaway/papers/subset.pdf).
    docs/decisions.md, "Batches are computed, not stored"
    """
    epochs, places = np.divmod(np.asarray(indices, np.uint64), np.uint64(size))
    half, keys = _half(size), _keys_of(epochs, seed)
    places = _permute(places, keys, half)
    while (outside := places >= size).any():
        places[outside] = _permute(places[outside], keys[outside], half)
    permuted: np.ndarray = places.astype(np.int64)
    return permuted


def places(items: np.ndarray, epochs: int, size: int, seed: int) -> np.ndarray:
    """The inverse of `order`: the places of the endless shuffle where its first epochs visit the items, [E, items].

    docs/decisions.md, "The order of batches can be computed backwards"
    """
    found = np.tile(np.asarray(items, np.uint64), epochs)
    which = np.repeat(np.arange(epochs, dtype=np.uint64), len(items))
    half, keys = _half(size), _keys_of(which, seed)
    found = _permute_back(found, keys, half)
    while (outside := found >= size).any():
        found[outside] = _permute_back(found[outside], keys[outside], half)
    placed: np.ndarray = (found + which * np.uint64(size)).astype(np.int64).reshape(epochs, len(items))
    return placed


def kind(slot: int, shares: Sequence[float]) -> int:
    """Which of several kinds of rows, with their shares, the batch number `slot` (0, 1, ...) takes.

    It follows from the multiples of the golden ratio, which fill the unit interval evenly (Weyl).
    """
    return bisect_right(_ends(shares), (slot + 1) * GOLDEN % WHOLE)


def turn(slot: int, shares: Sequence[float]) -> int:
    """How many slots before this one take the same kind as it does; the cost grows only with the digits of `slot`."""
    return turns_before(slot, kind(slot, shares), shares)


def slot_of(turn: int, mine: int, shares: Sequence[float]) -> int:
    """The slot that has this turn (0, 1, ...) of a kind with a share above 0: the inverse of `turn`, by bisection."""
    most = 2 * math.ceil((turn + 2) * sum(shares) / shares[mine])  # the golden ratio spreads turns evenly
    while turns_before(most, mine, shares) <= turn:
        most *= 2
    return bisect_left(range(most), turn + 1, key=lambda slot: turns_before(slot + 1, mine, shares))


def turns_before(slot: int, mine: int, shares: Sequence[float]) -> int:
    """How many slots before this one take a kind."""
    ends = _ends(shares)
    before = _count_below(ends[mine - 1], slot) if mine else 0
    return _count_below(ends[mine], slot) - before


def _ends(shares: Sequence[float]) -> list[int]:
    """The end of each kind's part of the interval from 0 to WHOLE."""
    *inner, total = accumulate(shares)
    return [*(int(end / total * WHOLE) for end in inner), WHOLE]


def _count_below(limit: int, slots: int) -> int:
    """How many of the first multiples of the golden ratio have a remainder modulo WHOLE below a limit."""
    # A remainder x mod m is below l when floor(x / m) and floor((x - l) / m) differ, which is by 1.
    wholes = _floor_sum(slots, WHOLE, GOLDEN, GOLDEN)
    return wholes - _floor_sum(slots, WHOLE, GOLDEN, GOLDEN + WHOLE - limit) + slots


def _floor_sum(n: int, m: int, a: int, b: int) -> int:
    """The sum of floor((a * i + b) / m) over i from 0 to n - 1, by Euclid's algorithm.

    https://atcoder.github.io/ac-library/production/document_en/math.html
    """
    total = 0
    while True:
        total += n * (n - 1) // 2 * (a // m) + n * (b // m)
        a, b = a % m, b % m
        last = a * n + b
        if last < m:
            return total
        n, b, m, a = last // m, last % m, a, m


def _half(size: int) -> np.uint64:
    """Half of the bits that number the items."""
    return np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))


def _permute(places: np.ndarray, keys: np.ndarray, half: np.uint64) -> np.ndarray:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = places >> half, places & mask
    for key in keys.T:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half) | right


def _permute_back(places: np.ndarray, keys: np.ndarray, half: np.uint64) -> np.ndarray:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = places >> half, places & mask
    for key in keys.T[::-1]:
        left, right = right ^ (_mix(left ^ key) & mask), left
    return (left << half) | right


def _mix(value: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = value ^ (value >> np.uint64(31))
    return mixed


def _keys_of(epochs: np.ndarray, seed: int) -> np.ndarray:
    """The round keys of each epoch, [places, rounds]."""
    distinct, which = np.unique(epochs, return_inverse=True)
    return np.array([_keys(seed, int(epoch)) for epoch in distinct], np.uint64)[which]


def _keys(seed: int, epoch: int) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(f"{seed}/{epoch}".encode()).digest(), np.uint64)
