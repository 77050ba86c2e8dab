"""The rows of a batch that a decoder continues, each of which starts and ends on its own.

A slot has room for the keys and values of one text as long as the window. Texts of different lengths share a step, as
each token is written to, and sees, the places of its own row alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from components.model.config import LayerKind
from components.model.decode_state import KeyValueCache, LayerCache
from components.model.interface import GenerationState, LanguageModel
from components.model.layers import Context
from components.model.loss import soft_cap
from components.model.prefixes import BLOCK, Prefixes
from components.model.transformer import Transformer


class PromptPart(NamedTuple):
    """Tokens of a prompt that are read together, from the place `begin` on, with room for more behind the prompt."""

    slot: int
    tokens: Sequence[int]
    begin: int
    room: int


class Rows(Protocol):
    """The state of the texts that a model continues."""

    capacity: int
    """The number of texts that can be under way."""
    whole: bool
    """Whether a prompt has to be read at once."""

    def read(self, parts: Sequence[PromptPart]) -> Tensor:
        """Read parts of prompts; the logits after the last token of each, [B, V]."""

    def advance(self, tokens: Sequence[int], places: Sequence[int]) -> Tensor:
        """Read one token in each of the first slots, at its place; the logits after each, [B, V]."""

    def reuse(self, slot: int, tokens: Sequence[int]) -> int:
        """Begin a text; returns how many of its tokens do not have to be read, as they were kept."""

    def keep(self, slot: int, tokens: Sequence[int]) -> None:
        """Keep what was read of a text for others that begin alike."""

    def move(self, source: int, target: int, length: int) -> None:
        """Put the text of a slot, of so many tokens, into another one."""


@dataclass
class _Aim:
    """Where a forward pass writes, and what it sees; shared by all layers."""

    slots: slice | Tensor
    places: Tensor  # of the new tokens, counted through all slots
    length: int  # of the longest row, with the new tokens


class _SlotCache(KeyValueCache):
    """Keys and values of all slots, each [slots, window, K, D]; a pass sees the rows that it aims at."""

    aim: _Aim

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__(keys, values)
        self._rows = keys.flatten(0, 1), values.flatten(0, 1)

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values [B, K, T, D] of new tokens; returns those of the rows, [B, K, S, D]."""
        slots, places, length = self.aim.slots, self.aim.places, self.aim.length
        for rows, new in zip(self._rows, (keys, values), strict=True):
            rows.index_copy_(0, places, new.transpose(1, 2).reshape(-1, *rows.shape[1:]))
        return self.keys[slots, :length].transpose(1, 2), self.values[slots, :length].transpose(1, 2)


class Slots:
    """The slots of a decoder of ours. Names end with shapes: B rows, T tokens, S keys, P previous tokens."""

    whole = False

    def __init__(self, model: Transformer, capacity: int, kept: int) -> None:
        config, like = model.config, model.embedding.weight
        self.capacity = capacity
        self._model = model
        self._window = config.max_sequence_length
        shape = (config.num_layers, 2, capacity, self._window, config.num_kv_heads, config.head_dim)
        self._state = _zeros(shape, like)
        self._cache = [LayerCache(_SlotCache(keys, values), None) for keys, values in self._state]
        self._tokens = torch.zeros(capacity, self._window, dtype=torch.long, device=like.device)
        self._places = torch.arange(self._window, device=like.device)
        self._reach = len(config.ngram_rows)
        self._prefixes = Prefixes(kept)

    def read(self, parts: Sequence[PromptPart]) -> Tensor:
        device, longest = self._tokens.device, max(len(part.tokens) for part in parts)
        # What is padded is written behind the text, where its next tokens will be, or at the last place of the window,
        # which no token of a text is read at.
        tokens_BT = torch.tensor([[*part.tokens, *[0] * (longest - len(part.tokens))] for part in parts], device=device)
        begins_B1 = torch.tensor([[part.begin] for part in parts], device=device)
        places_BT = (begins_B1 + self._places[:longest]).clamp(max=self._window - 1)
        slots_B = torch.tensor([part.slot for part in parts], device=device)
        self._tokens[slots_B[:, None], places_BT] = tokens_BT
        lasts_B = torch.tensor([len(part.tokens) - 1 for part in parts], device=device)
        length = min(max(part.begin for part in parts) + longest, self._window)
        # One row is seen where it lies; several are gathered.
        slots = slice(parts[0].slot, parts[0].slot + 1) if len(parts) == 1 else slots_B
        wanted_B = lasts_B + longest * torch.arange(len(parts), device=device)
        return self._logits(self._hidden(slots, slots_B, tokens_BT, places_BT, length, wanted_B))

    def advance(self, tokens: Sequence[int], places: Sequence[int]) -> Tensor:
        numbers = torch.tensor([tokens, places], device=self._tokens.device)
        tokens_B1, places_B1 = numbers[0, :, None], numbers[1, :, None]
        slots = slice(0, len(tokens))
        if self._reach:
            self._tokens[slots].scatter_(1, places_B1, tokens_B1)
        slots_B = torch.arange(len(tokens), device=self._tokens.device)
        return self._logits(self._hidden(slots, slots_B, tokens_B1, places_B1, max(places) + 1)[:, 0])

    def reuse(self, slot: int, tokens: Sequence[int]) -> int:
        blocks = self._prefixes.find(tokens)
        if not blocks:
            return 0
        end = len(blocks) * BLOCK
        self._state[:, :, slot, :end] = torch.cat(blocks, dim=2)
        self._tokens[slot, :end] = torch.tensor(tokens[:end])
        return end

    def keep(self, slot: int, tokens: Sequence[int]) -> None:
        self._prefixes.keep(tokens, lambda begin, end: self._state[:, :, slot, begin:end].clone())

    def move(self, source: int, target: int, length: int) -> None:
        self._state[:, :, target, :length] = self._state[:, :, source, :length]
        self._tokens[target, :length] = self._tokens[source, :length]

    def _logits(self, hidden_BC: Tensor) -> Tensor:
        return soft_cap(self._model.head(hidden_BC), self._model.config.logit_soft_cap)

    def _hidden(
        self,
        slots: slice | Tensor,
        slots_B: Tensor,
        tokens_BT: Tensor,
        places_BT: Tensor,
        length: int,
        wanted_N: Tensor | None = None,
    ) -> Tensor:
        """The hidden states of new tokens in these slots, [B, T, C], or [N, C] of those that are wanted.

        The longest text then has this length.
        """
        model = self._model
        aim = _Aim(slots, (places_BT + slots_B[:, None] * self._window).flatten(), length)
        for layer in self._cache:
            layer.own.aim = aim  # type: ignore[attr-defined]
        x_BTC = model.embed(tokens_BT, places_BT, self._previous(slots, places_BT))
        assert model.decoder is not None
        hidden: Tensor = model.decoder(x_BTC, self._contexts(places_BT, length), self._cache, wanted_N)
        return hidden

    def _previous(self, slots: slice | Tensor, places_BT: Tensor) -> Tensor | None:
        """The tokens in front of the new ones, as many as n-grams reach back, [B, P]."""
        if not self._reach:
            return None
        back_P = self._places[: self._reach] - self._reach
        return self._tokens[slots].gather(1, (places_BT[:, :1] + back_P).clamp(min=0))

    def _contexts(self, places_BT: Tensor, length: int) -> dict[LayerKind, Context]:
        model, window = self._model, self._model.config.traits.sliding_window
        keys_S, queries_BT1 = self._places[:length], places_BT[:, :, None]
        # A single token sees all that was read.
        seen_B1TS = (keys_S <= queries_BT1)[:, None] if places_BT.numel() > 1 else None
        contexts = {}
        for kind in dict.fromkeys(model.config.layer_kinds):
            rotary = model.sliding_rotary if kind.sliding else model.rotary
            rotation = rotary(places_BT.shape[1], places_BT) if kind.rotated else None
            mask = seen_B1TS
            if kind.sliding and window is not None and length > window:
                near_B1TS = (keys_S > queries_BT1 - window)[:, None]
                mask = near_B1TS if mask is None else mask & near_B1TS
            contexts[kind] = Context(rotation, mask, None, None)
        return contexts


class OneRow:
    """One text at a time, of a model whose rows cannot start on their own."""

    capacity = 1
    whole = True

    def __init__(self, model: LanguageModel, start: int | None) -> None:
        self._model, self._start = model, start
        self._state: GenerationState | None = None

    def read(self, parts: Sequence[PromptPart]) -> Tensor:
        (part,) = parts
        self._state, logits_11V = self._model.read([part.tokens], part.room, self._start)
        return logits_11V[:, -1]

    def advance(self, tokens: Sequence[int], places: Sequence[int]) -> Tensor:  # noqa: ARG002 (the state knows)
        assert self._state is not None
        return self._state.advance(torch.tensor([tokens], device=self._model.device), last_only=True)[:, -1]

    def reuse(self, slot: int, tokens: Sequence[int]) -> int:  # noqa: ARG002 (nothing is kept)
        return 0

    def keep(self, slot: int, tokens: Sequence[int]) -> None:
        pass

    def move(self, source: int, target: int, length: int) -> None:  # noqa: ARG002 (there is one)
        raise AssertionError("the only text is always in the first slot")


def rows(model: LanguageModel, capacity: int, kept: int, start: int | None) -> Rows:
    """Slots for a decoder of ours; other models continue one text at a time, whose decoder begins with `start`.

    kept: tokens whose keys and values are kept for texts that begin alike.
    """
    if isinstance(model, Transformer) and model.encoder is None and model.config.predicts_tokens:
        return Slots(model, capacity, kept)
    return OneRow(model, start)


def _zeros(shape: Sequence[int], like: Tensor) -> Tensor:
    """Zeros; on a processor memory is taken page by page as it is written to, so that a long window costs nothing."""
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    bits = np.zeros((*shape[:-1], shape[-1] * like.element_size()), dtype=np.uint8)
    return torch.from_numpy(bits).view(like.dtype)
