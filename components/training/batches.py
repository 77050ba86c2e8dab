"""Rows of token windows as a pure function of (seed, place): nothing to store, nothing to replay after a crash."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from components.stage import BadData


@dataclass(frozen=True)
class Batch:
    """What `Transformer.loss` takes: tokens and, for each, the one that should be predicted there.

    Segments number the parts of a row that do not see each other. The source is what an encoder-decoder reads.
    """

    tokens_BT: Tensor
    targets_BT: Tensor
    segments_BT: Tensor | None = None
    source_BS: Tensor | None = None
    source_segments_BS: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tokens_BT)

    def tensors(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """The arguments of `Transformer.loss`, in order."""
        return self.tokens_BT, self.targets_BT, self.segments_BT, self.source_BS, self.source_segments_BS

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; from pinned memory without waiting for it."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> "Batch":
        """The batch in page-locked memory, from which a GPU copies by itself."""
        return self._each(lambda tensor: tensor.pin_memory())

    def split(self, rows: int) -> list["Batch"]:
        """The batch in parts of some rows each."""
        return [self._rows(slice(start, start + rows)) for start in range(0, len(self), rows)]

    @classmethod
    def cat(cls, batches: Sequence["Batch"]) -> "Batch":
        """The rows of several batches of one shape as one."""
        columns = {field.name: [getattr(batch, field.name) for batch in batches] for field in fields(cls)}
        return cls(**{name: torch.cat(column) for name, column in columns.items() if column[0] is not None})

    def _rows(self, rows: slice) -> "Batch":
        return self._each(lambda tensor: tensor[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(tensor) for name, tensor in changed.items() if tensor is not None})


Rows = Callable[[np.ndarray], Batch]
"""The rows at the given places of an endless sequence."""


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
    """Windows of `length` + 1 tokens over memory-mapped shards, one after the other; neighbours share one token."""

    def __init__(self, shards: Sequence[Path], dtype: type[np.uint16] | type[np.uint32], length: int) -> None:
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
        found = cls(shards, np.uint16 if manifest["bytes_per_token"] == 2 else np.uint32, length)
        if not len(found):
            raise BadData(f"{tokens}/{split} has no {length + 1} tokens in a row: add data, or lower sequence_length")
        return found

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def take(self, windows: np.ndarray) -> np.ndarray:
        """The given windows, int64 [B, length + 1]."""
        return np.stack([self._window(int(window)) for window in windows])

    def _window(self, window: int) -> np.ndarray:
        shard = int(np.searchsorted(self._ends, window, side="right"))
        start = (window - (self._ends[shard - 1] if shard else 0)) * self._length
        return self._shards[shard][start : start + self._length + 1].astype(np.int64)
