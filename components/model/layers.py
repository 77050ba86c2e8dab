"""The layers of the Transformer, from the smallest to a whole block.

Names end with shapes: B batch, T time, S keys, C hidden size, H query heads, K key and value heads, D head size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.model.config import ModelConfig

_BLOCKS = 2  # of queries in a causal attention; with more, compilation takes longer than they save


def attention(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor | None, *, causal: bool) -> Tensor:
    """The output of attention, [B, H, T, D]; H / K consecutive query heads share the keys and values of one head.

    mask: which keys each query sees, bool [B, 1, T or 1, S]; None: all, or if causal those up to its own position.
    """
    if q_BHTD.device.type == "cpu" and q_BHTD.requires_grad:
        return _with_gradients(q_BHTD, k_BKSD, v_BKSD, mask, causal)
    several = q_BHTD.shape[2] > 1  # a single token sees the whole cache
    return F.scaled_dot_product_attention(
        q_BHTD, k_BKSD, v_BKSD, attn_mask=mask, is_causal=causal and mask is None and several, enable_gqa=True
    )


def _with_gradients(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Attention for training on a processor; if causal, in blocks of queries, each with the keys up to its own end.

    docs/decisions.md, "In fp32 there are fewer products"
    """
    T, S = q_BHTD.shape[2], k_BKSD.shape[2]
    if not causal:
        return _of_group(q_BHTD, k_BKSD, v_BKSD, mask)
    if mask is None:
        mask = torch.ones(1, 1, T, S, dtype=torch.bool).tril()
    size = -(-T // _BLOCKS)
    found = [
        _of_group(q_BHTD[:, :, start:end], k_BKSD[:, :, :end], v_BKSD[:, :, :end], mask[:, :, start:end, :end])
        for start, end in ((start, min(start + size, T)) for start in range(0, T, size))
    ]
    return torch.cat(found, 2)


def _of_group(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor | None) -> Tensor:
    """Attention with the heads of a group as the rows of one matrix, so that their keys and values need no copies."""
    B, H, T, D = q_BHTD.shape
    _, K, S, _ = k_BKSD.shape
    q, k, v = q_BHTD.reshape(B * K, H // K * T, D), k_BKSD.reshape(B * K, S, D), v_BKSD.reshape(B * K, S, D)
    out: Tensor = _Attention.apply(q, k, v, mask, (B, H, T, S))  # type: ignore[no-untyped-call]
    return out.view(B, H, T, D)


class _Attention(torch.autograd.Function):
    """Batched matrix products around a softmax, which the compiler fuses; its weights are saved in the type of `v`.

    On processors PyTorch's own kernel takes three times as long, and autograd would keep the weights in fp32.
    docs/decisions.md, "Attention on processors is two matrix products and a softmax"
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, shape: tuple[int, ...]) -> Tensor:
        scores = (q @ k.mT).float() * q.shape[-1] ** -0.5
        if mask is not None:
            scores = torch.where(mask, scores.view(shape), -torch.inf).view_as(scores)
        weights = scores.softmax(-1).to(v.dtype)
        ctx.save_for_backward(q, k, v, weights)
        found: Tensor = weights @ v
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights = ctx.saved_tensors
        (gradient,) = gradients
        of_weights = (gradient @ v.mT).float()
        mean = (weights * of_weights).sum(-1, keepdim=True)
        of_scores = (weights * (of_weights - mean) * q.shape[-1] ** -0.5).to(q.dtype)
        return of_scores @ k, of_scores.mT @ q, weights.mT @ gradient, None, None


Rotation = tuple[Tensor, Tensor]
"""Cosines and sines that rotate queries and keys, each [B or 1, 1, T, D]."""


class Context(NamedTuple):
    """The inputs that all blocks of a stack share in a forward pass. A mask is bool, True where a query sees a key."""

    rotation: Rotation | None
    mask: Tensor | None  # [B, 1, T, S]; None: all keys, and in a decoder those up to the query
    memory_BSC: Tensor | None  # the output of the encoder for the source
    memory_mask: Tensor | None  # [B, 1, T or 1, S]


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


def norm(config: ModelConfig, size: int) -> nn.Module:
    """RMSNorm (https://arxiv.org/abs/1910.07467), or LayerNorm as in the original."""
    kind = nn.RMSNorm if config.norm == "rms" else nn.LayerNorm
    return kind(size, config.norm_eps)


def qk_norms(config: ModelConfig) -> tuple[nn.Module, nn.Module]:
    """The norms of queries and keys, each [..., D]: QK-norm (https://arxiv.org/abs/2010.04245), or the identity."""
    if not config.qk_norm:
        return nn.Identity(), nn.Identity()
    return norm(config, config.head_dim), norm(config, config.head_dim)


class RotaryEmbedding(nn.Module):
    """Rotary positions, in halves as in Qwen3 (Su et al., https://arxiv.org/abs/2104.09864)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, head_dim: int, length: int, theta: float) -> None:
        super().__init__()
        frequencies = theta ** -(torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
        angles = torch.outer(torch.arange(length, dtype=torch.float64), frequencies).repeat(1, 2)  # [T, D]
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def forward(self, length: int, positions_BT: Tensor | None) -> Rotation:
        """The rotation of a row of tokens, by default at positions from 0 on."""
        if positions_BT is None:
            return self.cos[None, None, :length], self.sin[None, None, :length]
        return self.cos[positions_BT][:, None], self.sin[positions_BT][:, None]


def rotate(x_BHTD: Tensor, rotation: Rotation) -> Tensor:
    """Queries or keys rotated by their positions."""
    cos, sin = rotation
    left, right = x_BHTD.chunk(2, dim=-1)
    return x_BHTD * cos + torch.cat((-right, left), dim=-1) * sin


class SinusoidalEmbedding(nn.Module):
    """The positions of the original Transformer (https://arxiv.org/abs/1706.03762), sines before cosines as in Marian.

    The paper alternates them, which is the same but for the order of the columns.
    """

    table_TC: Tensor

    def __init__(self, length: int, hidden_size: int) -> None:
        super().__init__()
        frequencies = 10_000 ** -(torch.arange(0, hidden_size, 2, dtype=torch.float64) / hidden_size)
        angles = torch.outer(torch.arange(length, dtype=torch.float64), frequencies)
        self.register_buffer("table_TC", torch.cat((angles.sin(), angles.cos()), dim=1).float(), persistent=False)

    def forward(self, positions_BT: Tensor) -> Tensor:
        return self.table_TC[positions_BT]


class Attention(nn.Module):
    """Self-attention with grouped queries (https://arxiv.org/abs/2305.13245)."""

    def __init__(self, config: ModelConfig, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.heads = (config.num_heads, config.num_kv_heads, config.num_kv_heads)
        self.head_dim = config.head_dim
        self.qkv = nn.Linear(config.hidden_size, sum(self.heads) * config.head_dim, bias=config.biases)
        self.out = nn.Linear(config.num_heads * config.head_dim, config.hidden_size, bias=config.biases)
        self.query_norm, self.key_norm = qk_norms(config)

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
        mixed_BHTD = attention(q_BHTD, k_BKTD, v_BKTD, context.mask, causal=self.causal)
        out: Tensor = self.out(mixed_BHTD.transpose(1, 2).reshape(B, T, -1))
        return out


class CrossAttention(nn.Module):
    """Attention of the decoder over the output of the encoder; without positions, as in T5Gemma."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.query = nn.Linear(config.hidden_size, config.num_heads * config.head_dim, bias=config.biases)
        self.key_value = nn.Linear(config.hidden_size, 2 * config.num_kv_heads * config.head_dim, bias=config.biases)
        self.out = nn.Linear(config.num_heads * config.head_dim, config.hidden_size, bias=config.biases)
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


class MLP(nn.Module):
    """Two matrices around ReLU or GELU, or SwiGLU, which has a gate (Shazeer, https://arxiv.org/abs/2002.05202)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.activation = config.activation
        gates = 2 if config.activation == "swiglu" else 1
        self.up = nn.Linear(config.hidden_size, gates * config.intermediate_size, bias=config.biases)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=config.biases)

    def forward(self, x_BTC: Tensor) -> Tensor:
        out: Tensor = self.down(self._activate(self.up(x_BTC)))
        return out

    def _activate(self, x: Tensor) -> Tensor:
        if self.activation == "swiglu":
            gate, up = x.chunk(2, dim=-1)
            return F.silu(gate) * up
        return F.gelu(x) if self.activation == "gelu" else F.relu(x)


@dataclass
class LayerCache:
    """The state of one decoder block during generation: its own tokens, and the memory that it has read."""

    own: KeyValueCache
    memory: KeyValueCache | None

    def select(self, rows: Tensor) -> "LayerCache":
        """The cache of the rows with these numbers, which may repeat."""
        return LayerCache(self.own.select(rows), self.memory.select(rows) if self.memory else None)


class Block(nn.Module):
    """One layer: attention, cross-attention if there is an encoder, and the MLP, each added to the residual stream."""

    def __init__(self, config: ModelConfig, *, causal: bool, reads_source: bool) -> None:
        super().__init__()
        self.norm_last = config.norm_position == "post"
        self.attention_norm = norm(config, config.hidden_size)
        self.attention = Attention(config, causal=causal)
        self.reads_source = reads_source
        if reads_source:
            self.cross_norm = norm(config, config.hidden_size)
            self.cross_attention = CrossAttention(config)
        self.mlp_norm = norm(config, config.hidden_size)
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
        x_BTC = self._add(x_BTC, self.attention_norm, lambda x: self.attention(x, context, own))
        if self.reads_source:
            x_BTC = self._add(x_BTC, self.cross_norm, lambda x: self.cross_attention(x, context, memory))
        return x_BTC

    def transform(self, x: Tensor) -> Tensor:
        """The part that processes each token, [..., C], by itself."""
        return self._add(x, self.mlp_norm, self.mlp)

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

    def _add(self, x: Tensor, norm: nn.Module, layer: Callable[[Tensor], Tensor]) -> Tensor:
        """The normalisation comes first (https://arxiv.org/abs/2002.04745), or last as in the original."""
        out: Tensor = norm(x + layer(x)) if self.norm_last else x + layer(norm(x))
        return out
