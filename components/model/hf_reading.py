"""The state of a module of `transformers` while it generates: its own cache of keys and values."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, Self

import torch
from torch import Tensor

from components.model.decode_state import pad


@dataclass
class ModuleReading:
    """The rows that a module reads in parallel, and what it keeps of them."""

    module: Any
    cache: Any
    seen_BT: Tensor  # 1 for each token of a decoder that was read, or of the source of an encoder-decoder; 0: padding
    memory_BSC: Tensor | None  # the output of the encoder of an encoder-decoder

    @classmethod
    def of_prompts(cls, module: Any, prompts: Sequence[Sequence[int]], padding: int) -> tuple[Self, Tensor]:
        """A decoder that has read prompts; also the logits after each, [B, 1, V]."""
        from transformers import DynamicCache

        tokens_BT, real_BT = _padded(prompts, padding, module.device, left=True)
        reading = cls(module, DynamicCache(config=module.config), real_BT[:, :0], None)
        return reading, reading._read(tokens_BT, real_BT, last_only=True)

    @classmethod
    def of_sources(cls, module: Any, sources: Sequence[Sequence[int]], padding: int, start: int) -> tuple[Self, Tensor]:
        """An encoder-decoder that has read sources and the start token; also the logits after it, [B, 1, V]."""
        from transformers import DynamicCache, EncoderDecoderCache

        source_BS, real_BS = _padded(sources, padding, module.device, left=False)
        memory_BSC = module.get_encoder()(input_ids=source_BS, attention_mask=real_BS).last_hidden_state
        cache = EncoderDecoderCache(*(DynamicCache(config=module.config.get_text_config(decoder=True)) for _ in "sc"))
        reading = cls(module, cache, real_BS, memory_BSC)
        return reading, reading.advance(torch.full_like(source_BS[:, :1], start))

    def advance(self, tokens_BT: Tensor, *, last_only: bool = False) -> Tensor:
        """Read more tokens; returns the logits after each, [B, T, V], or after the last, [B, 1, V]."""
        return self._read(tokens_BT, torch.ones_like(tokens_BT), last_only=last_only)

    def select(self, rows: Tensor) -> "ModuleReading":
        """The state of the rows with these numbers, which may repeat."""
        memory_BSC = None if self.memory_BSC is None else self.memory_BSC[rows]
        return replace(self, cache=_selected(self.cache, rows), seen_BT=self.seen_BT[rows], memory_BSC=memory_BSC)

    def _read(self, tokens_BT: Tensor, real_BT: Tensor, *, last_only: bool) -> Tensor:
        inputs: dict[str, Any] = {"past_key_values": self.cache, "use_cache": True}
        if self.memory_BSC is None:
            self.seen_BT = torch.cat([self.seen_BT, real_BT], dim=1)
            inputs |= {"input_ids": tokens_BT, "attention_mask": self.seen_BT}
            takes = signature(self.module.forward).parameters
            if "position_ids" in takes:
                places_BT = (self.seen_BT.cumsum(1) - 1).clamp(min=0)
                inputs["position_ids"] = places_BT[:, -tokens_BT.shape[1] :]
            if "logits_to_keep" in takes:
                inputs["logits_to_keep"] = int(last_only)
        else:
            from transformers.modeling_outputs import BaseModelOutput

            inputs |= {"decoder_input_ids": tokens_BT, "attention_mask": self.seen_BT}
            inputs["encoder_outputs"] = BaseModelOutput(last_hidden_state=self.memory_BSC)
        logits: Tensor = self.module(**inputs).logits
        return logits[:, -1:] if last_only else logits


def _padded(rows: Sequence[Sequence[int]], padding: int, device: torch.device, *, left: bool) -> tuple[Tensor, Tensor]:
    """Rows padded to equal length, and what of them is real, both int64 [B, T]."""
    tokens_BT, pads_B = pad(rows, device, left=left)
    places, length = torch.arange(tokens_BT.shape[1], device=device), tokens_BT.shape[1]
    real_BT = places >= pads_B[:, None] if left else places < length - pads_B[:, None]
    return tokens_BT.where(real_BT, padding), real_BT.long()


def _selected(cache: Any, rows: Tensor) -> Any:
    """A cache with some rows of another, which stays as it is: layers replace their tensors when they select."""
    if hasattr(cache, "cross_attention_cache"):
        return type(cache)(_selected(cache.self_attention_cache, rows), _selected(cache.cross_attention_cache, rows))
    chosen = copy.copy(cache)
    chosen.layers = [copy.copy(layer) for layer in cache.layers]
    chosen.batch_select_indices(rows)
    return chosen
