"""The layers of the Transformer, from the smallest to a whole block.

Names end with shapes: B batch, T time, S keys, C hidden size, H query heads, K key and value heads, D head size.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.model.attention import attention
from components.model.config import ModelConfig
from components.model.decode_state import KeyValueCache, LayerCache
from components.model.positions import Rotation, rotate


class Context(NamedTuple):
    """The inputs that all blocks of a stack share in a forward pass. A mask is bool, True where a query sees a key."""

    rotation: Rotation | None
    mask: Tensor | None  # [B, 1, T, S]; None: all keys, and in a decoder those up to the query
    memory_BSC: Tensor | None  # the output of the encoder for the source
    memory_mask: Tensor | None  # [B, 1, T or 1, S]


def norm(config: ModelConfig, size: int) -> nn.Module:
    """RMSNorm (https://arxiv.org/abs/1910.07467), or LayerNorm as in the original."""
    kind = nn.RMSNorm if config.norm == "rms" else nn.LayerNorm
    return kind(size, config.norm_eps)


def layer_norms(config: ModelConfig) -> tuple[nn.Module, nn.Module]:
    """The norm of a layer, and the one after it: that of Gemma 2, or the identity."""
    size = config.hidden_size
    return norm(config, size), norm(config, size) if config.norm_position == "both" else nn.Identity()


def qk_norms(config: ModelConfig) -> tuple[nn.Module, nn.Module]:
    """The norms of queries and keys, each [..., D]: QK-norm (https://arxiv.org/abs/2010.04245), or the identity."""
    if not config.qk_norm:
        return nn.Identity(), nn.Identity()
    return norm(config, config.head_dim), norm(config, config.head_dim)


class Attention(nn.Module):
    """Self-attention with grouped queries (https://arxiv.org/abs/2305.13245)."""

    def __init__(self, config: ModelConfig, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.heads = (config.num_heads, config.num_kv_heads, config.num_kv_heads)
        self.head_dim = config.head_dim
        self.qkv = nn.Linear(config.hidden_size, sum(self.heads) * config.head_dim, bias=config.has_bias("qkv"))
        self.out = nn.Linear(config.num_heads * config.head_dim, config.hidden_size, bias=config.has_bias("out"))
        self.query_norm, self.key_norm = qk_norms(config)
        self.scale, self.cap = config.traits.attention_scale, config.traits.attention_soft_cap

    def forward(self, x_BTC: Tensor, context: Context, cache: KeyValueCache | None) -> Tensor:
        B, T, _ = x_BTC.shape
        qkv = self.qkv(x_BTC).view(B, T, -1, self.head_dim).transpose(1, 2)
        q_BHTD, k_BKTD, v_BKTD = qkv.split(self.heads, dim=1)
        q_BHTD, k_BKTD = self.query_norm(q_BHTD.float()), self.key_norm(k_BKTD.float())
        if context.rotation is not None:
            q_BHTD, k_BKTD = rotate(q_BHTD, context.rotation), rotate(k_BKTD, context.rotation)
        q_BHTD, k_BKTD = q_BHTD.to(v_BKTD.dtype), k_BKTD.to(v_BKTD.dtype)
        if cache is not None:
            k_BKTD, v_BKTD = cache.append(k_BKTD, v_BKTD)
        mixed_BHTD = attention(q_BHTD, k_BKTD, v_BKTD, context.mask, causal=self.causal, scale=self.scale, cap=self.cap)
        out: Tensor = self.out(mixed_BHTD.transpose(1, 2).reshape(B, T, -1))
        return out


class CrossAttention(nn.Module):
    """Attention of the decoder over the output of the encoder; without positions, as in T5Gemma."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.query = nn.Linear(config.hidden_size, config.num_heads * config.head_dim, bias=config.has_bias("qkv"))
        width = config.num_kv_heads * config.head_dim
        self.key_value = nn.Linear(config.hidden_size, 2 * width, bias=config.has_bias("qkv"))
        self.out = nn.Linear(config.num_heads * config.head_dim, config.hidden_size, bias=config.has_bias("out"))
        self.query_norm, self.key_norm = qk_norms(config)

    def forward(self, x_BTC: Tensor, context: Context, cache: KeyValueCache | None) -> Tensor:
        """Keys and values of the memory are computed once: with a cache that holds them, only the queries are new."""
        B, T, _ = x_BTC.shape
        q_BHTD = self.query(x_BTC).view(B, T, -1, self.head_dim).transpose(1, 2)
        q_BHTD = self.query_norm(q_BHTD.float()).to(q_BHTD.dtype)
        if cache is not None and cache.length:
            k_BKSD, v_BKSD = cache.read(q_BHTD.dtype)
        else:
            k_BKSD, v_BKSD = self._read(context.memory_BSC)
            if cache is not None:
                cache.append(k_BKSD, v_BKSD)
        mixed_BHTD = attention(q_BHTD, k_BKSD, v_BKSD, context.memory_mask, causal=False)
        out: Tensor = self.out(mixed_BHTD.transpose(1, 2).reshape(B, T, -1))
        return out

    def _read(self, memory_BSC: Tensor | None) -> tuple[Tensor, Tensor]:
        assert memory_BSC is not None, "a decoder with cross-attention needs what the encoder said"
        B, S, _ = memory_BSC.shape
        kv = self.key_value(memory_BSC).view(B, S, -1, self.head_dim).transpose(1, 2)
        k_BKSD, v_BKSD = kv.chunk(2, dim=1)
        return self.key_norm(k_BKSD.float()).to(v_BKSD.dtype), v_BKSD


GATES: dict[str, Callable[[Tensor], Tensor]] = {"swiglu": F.silu, "geglu": partial(F.gelu, approximate="tanh")}
"""The activations with a gate (Shazeer, https://arxiv.org/abs/2002.05202): what is applied to the gate."""


class MLP(nn.Module):
    """Two matrices around ReLU or GELU, or SwiGLU or GeGLU, which have a gate."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.activation
        self.gate = GATES.get(config.activation)
        rows = config.intermediate_size * (2 if self.gate else 1)
        self.up = nn.Linear(config.hidden_size, rows, bias=config.has_bias("mlp"))
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.has_bias("mlp"))

    def forward(self, x_BTC: Tensor) -> Tensor:
        out: Tensor = self.down(self._activate(self.up(x_BTC)))
        return out

    def _activate(self, x: Tensor) -> Tensor:
        if self.gate is not None:
            gate, up = x.chunk(2, dim=-1)
            return self.gate(gate) * up
        return F.gelu(x) if self.activation == "gelu" else F.relu(x)


class Block(nn.Module):
    """One layer: attention, cross-attention if there is an encoder, and the MLP, each added to the residual stream."""

    def __init__(self, config: ModelConfig, *, causal: bool, reads_source: bool) -> None:
        super().__init__()
        self.norm_last = config.norm_position == "post"
        self.attention_norm, self.attention_norm_after = layer_norms(config)
        self.attention = Attention(config, causal=causal)
        self.reads_source = reads_source
        if reads_source:
            self.cross_norm, self.cross_norm_after = layer_norms(config)
            self.cross_attention = CrossAttention(config)
        self.mlp_norm, self.mlp_norm_after = layer_norms(config)
        self.mlp = MLP(config)

    def forward(
        self,
        x_BTC: Tensor,
        context: Context,
        cache: LayerCache | None = None,
        wanted_N: Tensor | None = None,
    ) -> Tensor:
        """[B, T, C], or [N, C] for the positions `wanted_N`, counted through the rows of the batch."""
        x_BTC = self.attend(x_BTC, context, cache)
        return self.transform(x_BTC if wanted_N is None else x_BTC.flatten(0, 1)[wanted_N])

    def attend(self, x_BTC: Tensor, context: Context, cache: LayerCache | None) -> Tensor:
        """The part in which tokens attend to others."""
        own, memory = (cache.own, cache.memory) if cache else (None, None)
        attend = partial(self.attention, context=context, cache=own)
        x_BTC = self._add(x_BTC, self.attention_norm, attend, self.attention_norm_after)
        if self.reads_source:
            read = partial(self.cross_attention, context=context, cache=memory)
            x_BTC = self._add(x_BTC, self.cross_norm, read, self.cross_norm_after)
        return x_BTC

    def transform(self, x: Tensor) -> Tensor:
        """The part that processes each token, [..., C], by itself."""
        return self._add(x, self.mlp_norm, self.mlp, self.mlp_norm_after)

    def compile_parts(self) -> None:
        """Compile both parts at their first use; blocks of a kind share the graphs."""
        self.attend = torch.compile(self.attend, dynamic=False)  # type: ignore[method-assign]
        # On a processor for any number of tokens: in the last block it changes from step to step.
        on_processor = self.mlp.up.weight.device.type == "cpu"
        self.transform = torch.compile(self.transform, dynamic=on_processor)  # type: ignore[method-assign]

    def leave_uncompiled(self) -> None:
        """Undo `compile_parts`."""
        vars(self).pop("attend", None)
        vars(self).pop("transform", None)

    def _add(self, x: Tensor, norm: nn.Module, layer: Callable[[Tensor], Tensor], after: nn.Module) -> Tensor:
        """The normalisation comes first (https://arxiv.org/abs/2002.04745), or last as in the original."""
        out: Tensor = norm(x + layer(x)) if self.norm_last else x + after(layer(norm(x)))
        return out
