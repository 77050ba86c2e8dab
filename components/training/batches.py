"""The batch of a step, as a pure function of (seed, step): nothing to store, nothing to replay after a crash."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from components.stage import BadData


@dataclass(frozen=True)
class Batch:
    """Rows of tokens and, for each, the token that should follow; segments number the parts of a row."""

    tokens_BT: Tensor
    targets_BT: Tensor
    segments_BT: Tensor

    def to(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """The three tensors on a device."""
        return self.tokens_BT.to(device), self.targets_BT.to(device), self.segments_BT.to(device)

    def split(self, rows: int) -> list["Batch"]:
        """The batch in parts of some rows each."""
        starts = range(0, len(self.tokens_BT), rows)
        return [self._rows(slice(start, start + rows)) for start in starts]

    def _rows(self, rows: slice) -> "Batch":
        return Batch(self.tokens_BT[rows], self.targets_BT[rows], self.segments_BT[rows])


def order(indices: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Where the given places (0, 1, ...) of an endless shuffle fall in 0..size-1; each epoch visits every item once.

    A Feistel network permutes the next power of four, and a result beyond the size is permuted again
    (cycle walking: Black and Rogaway, https://web.cs.ucdavis.edu/~rogaway/papers/subset.pdf).
    """
    epochs, places = np.divmod(np.asarray(indices, np.uint64), np.uint64(size))
    half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
    keys = np.array([_keys(seed, int(epoch)) for epoch in np.unique(epochs)], np.uint64)
    keys = keys[np.unique(epochs, return_inverse=True)[1]]
    places = _permute(places, keys, half)
    while (outside := places >= size).any():
        places[outside] = _permute(places[outside], keys[outside], half)
    permuted: np.ndarray = places.astype(np.int64)
    return permuted


def _permute(places: np.ndarray, keys: np.ndarray, half: np.uint64) -> np.ndarray:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = places >> half, places & mask
    for key in keys.T:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half) | right


def _mix(value: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = value ^ (value >> np.uint64(31))
    return mixed


def _keys(seed: int, epoch: int) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(f"{seed}/{epoch}".encode()).digest(), np.uint64)


class Windows:
    """Windows of `length` + 1 tokens over memory-mapped shards, one after the other without overlap.

    A document begins behind the end-of-text token of the one before, and is a segment of its own.
    """

    def __init__(
        self, shards: Sequence[Path], dtype: type[np.uint16] | type[np.uint32], length: int, end_of_text: int
    ) -> None:
        self._end_of_text = end_of_text
        self._shards = [np.memmap(shard, dtype, mode="r") for shard in shards if shard.stat().st_size]
        self._length = length
        self._ends = np.cumsum([max(0, len(shard) - 1) // length for shard in self._shards])

    @classmethod
    def of_split(cls, tokens: Path, split: str, length: int) -> Self:
        """The windows of a split, from the folder that the stage `encode` left.

        Raises `BadData` when there is not even one.
        """
        manifest = json.loads((tokens / "manifest.json").read_text())
        shards = [tokens / shard["file"] for shard in manifest["shards"] if shard["split"] == split]
        found = cls(
            shards, np.uint16 if manifest["bytes_per_token"] == 2 else np.uint32, length, manifest["end_of_text"]
        )
        if not len(found):
            raise BadData(f"{tokens}/{split} has no {length + 1} tokens in a row: add data, or lower sequence_length")
        return found

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def batch(self, step: int, rows: int, seed: int) -> Batch:
        """The batch of a step of training."""
        places = np.arange(step * rows, (step + 1) * rows)
        return self.take(order(places, len(self), seed))

    def take(self, windows: np.ndarray) -> Batch:
        """The given windows as a batch."""
        rows = torch.from_numpy(np.stack([self._window(int(window)) for window in windows]))
        # The end of a text is the first token that the next one sees.
        segments = (rows[:, :-1] == self._end_of_text).cumsum(1)
        return Batch(rows[:, :-1], rows[:, 1:], segments)

    def _window(self, window: int) -> np.ndarray:
        shard = int(np.searchsorted(self._ends, window, side="right"))
        start = (window - (self._ends[shard - 1] if shard else 0)) * self._length
        return self._shards[shard][start : start + self._length + 1].astype(np.int64)
