"""The state of our Transformer while it generates: the keys and values of the tokens that it has read.

Names end with shapes: B batch, T time, S keys, P previous tokens, V vocabulary, K key and value heads, D head size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from components.model.config import ModelConfig

if TYPE_CHECKING:
    from components.model.transformer import Transformer


@dataclass
class KeyValueCache:
    """Keys and values of the tokens that a layer has seen, each [B, K, S, D] with room for S."""

    keys: Tensor
    values: Tensor
    length: int = 0

    @classmethod
    def empty(cls, config: ModelConfig, batch: int, room: int, like: Tensor) -> "KeyValueCache":
        """An empty cache, of the type and on the device of `like`."""
        shape = (batch, config.num_kv_heads, room, config.head_dim)
        return cls(like.new_zeros(shape), like.new_zeros(shape))

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values [B, K, T, D] of new tokens; returns all so far."""
        end = self.length + keys.shape[2]
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.length = end
        return self.read(keys.dtype)

    def read(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """All keys and values so far."""
        return self.keys[:, :, : self.length].to(dtype), self.values[:, :, : self.length].to(dtype)

    def select(self, rows: Tensor) -> "KeyValueCache":
        """The cache of the rows with these numbers, which may repeat."""
        return KeyValueCache(self.keys[rows], self.values[rows], self.length)


@dataclass
class LayerCache:
    """The state of one decoder block during generation: its own tokens, and the memory that it has read."""

    own: KeyValueCache
    memory: KeyValueCache | None

    def select(self, rows: Tensor) -> "LayerCache":
        """The cache of the rows with these numbers, which may repeat."""
        return LayerCache(self.own.select(rows), self.memory.select(rows) if self.memory else None)


@dataclass
class DecodeState:
    """The rows that a decoder reads in parallel, and its state for them."""

    model: "Transformer"
    cache: list[LayerCache]
    last_BP: Tensor  # the last tokens read, as many as n-grams reach back
    length: int  # tokens read, with padding
    pads_B: Tensor | None  # tokens of padding in front of each row; None: no padding
    memory_mask: Tensor | None  # [B, 1, 1, S]: False for the padding of the sources; None: no padding

    @classmethod
    def read(
        cls, model: "Transformer", prompts: Sequence[Sequence[int]], room: int, start: int | None
    ) -> tuple[Self, Tensor]:
        """Read prompts, with room for more tokens; also returns the logits of the first token after each, [B, 1, V]."""
        if model.encoder is not None:
            return cls._read_sources(model, prompts, room, start)
        device = model.device
        tokens_BT, pads_B = pad(prompts, device, left=True)
        cache = _caches(model, len(prompts), tokens_BT.shape[1] + room, 0)
        rows = cls(model, cache, tokens_BT[:, :0], 0, pads_B if pads_B.any() else None, None)
        return rows, rows.advance(tokens_BT, last_only=True)

    @classmethod
    def _read_sources(
        cls, model: "Transformer", sources: Sequence[Sequence[int]], room: int, start: int | None
    ) -> tuple[Self, Tensor]:
        assert start is not None, "the decoder of an encoder-decoder needs a first token"
        device = model.device
        source_BS, pads_B = pad(sources, device, left=False)
        length = source_BS.shape[1]
        mask = (
            (torch.arange(length, device=device) < (length - pads_B)[:, None])[:, None, None] if pads_B.any() else None
        )
        tokens_B1 = torch.full((len(sources), 1), start, device=device)
        rows = cls(model, _caches(model, len(sources), 1 + room, length), tokens_B1[:, :0], 0, None, mask)
        return rows, rows.advance(tokens_B1, memory_BSC=model.encode(source_BS, mask))

    def advance(self, tokens_BT: Tensor, *, memory_BSC: Tensor | None = None, last_only: bool = False) -> Tensor:
        """Read more tokens; returns the logits after each, [B, T, V], or after the last, [B, 1, V]."""
        positions_T = torch.arange(self.length, self.length + tokens_BT.shape[1], device=tokens_BT.device)
        positions_BT = positions_T[None]
        if self.pads_B is not None:
            positions_BT = (positions_BT - self.pads_B[:, None]).clamp(min=0)
        mask = self._mask(positions_T)
        self.length += tokens_BT.shape[1]
        logits: Tensor = self.model(
            tokens_BT,
            mask=mask,
            positions_BT=positions_BT,
            memory_BSC=memory_BSC,
            memory_mask=self.memory_mask,
            previous_BP=self.last_BP,
            cache=self.cache,
            last_only=last_only,
        )
        read_BP = torch.cat([self.last_BP, tokens_BT], dim=1)
        self.last_BP = read_BP[:, max(0, read_BP.shape[1] - len(self.model.config.ngram_rows)) :]
        return logits

    def select(self, rows: Tensor) -> "DecodeState":
        """The state of the rows with these numbers, which may repeat."""
        return DecodeState(
            self.model,
            [layer.select(rows) for layer in self.cache],
            self.last_BP[rows],
            self.length,
            None if self.pads_B is None else self.pads_B[rows],
            None if self.memory_mask is None else self.memory_mask[rows],
        )

    def _mask(self, queries_T: Tensor) -> Tensor | None:
        """The mask of new tokens: each sees those up to itself without padding; padding sees itself. None: no mask."""
        if self.pads_B is None and (self.length == 0 or len(queries_T) == 1):
            return None
        keys_S = torch.arange(self.length + len(queries_T), device=queries_T.device)
        queries_T1 = queries_T[:, None]
        seen_BTS = (keys_S <= queries_T1)[None]
        if self.pads_B is not None:
            seen_BTS = seen_BTS & (keys_S >= self.pads_B[:, None, None]) | (keys_S == queries_T1)
        return seen_BTS[:, None]


def pad(rows: Sequence[Sequence[int]], device: torch.device, *, left: bool) -> tuple[Tensor, Tensor]:
    """Rows padded to equal length, [B, T], and the number of padding tokens in each, [B]."""
    longest = max(map(len, rows))
    padding = [[0] * (longest - len(row)) for row in rows]
    padded = [[*pad, *row] if left else [*row, *pad] for pad, row in zip(padding, rows, strict=True)]
    return torch.tensor(padded, device=device), torch.tensor([len(pad) for pad in padding], device=device)


def _caches(model: "Transformer", batch: int, room: int, memory_room: int) -> list[LayerCache]:
    config, like = model.config, model.embedding.weight
    return [
        LayerCache(
            KeyValueCache.empty(config, batch, room, like),
            KeyValueCache.empty(config, batch, memory_room, like) if memory_room else None,
        )
        for _ in range(config.num_layers)
    ]
