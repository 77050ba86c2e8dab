"""Windows over token shards: of each shard one after the other, numbered through."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from components.core.errors import BadData


def ends(sizes: Sequence[int], length: int) -> np.ndarray:
    """The number of the window behind the last one of each shard, from the sizes of the shards in tokens."""
    return np.cumsum([max(0, size - 1) // length for size in sizes], dtype=np.int64)


class Windows:
    """Windows of `length` + 1 tokens over memory-mapped shards, one after the other; neighbours share one token."""

    def __init__(self, shards: Sequence[Path], dtype: type[np.uint16] | type[np.uint32], length: int) -> None:
        self._shards = [np.memmap(shard, dtype, mode="r") for shard in shards if shard.stat().st_size]
        self._length = length
        self._ends = ends([len(shard) for shard in self._shards], length)

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
