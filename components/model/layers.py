"""The layers of the Transformer.

Shapes stand in names: B batch, T time, S keys, C hidden size, H query heads, K key and value heads, D head size.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.model.config import ModelConfig


@dataclass
class KeyValueCache:
    """Keys and values of the tokens that a model has seen, for one layer, each [B, K, S, D] with room for S."""

    keys: Tensor
    values: Tensor
    length: int = 0

    @classmethod
    def empty(cls, config: ModelConfig, batch: int, room: int) -> "KeyValueCache":
        """A cache without tokens."""
        shape = (batch, config.num_kv_heads, room, config.head_dim)
        return cls(torch.zeros(shape), torch.zeros(shape))

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values [B, K, T, D] of new tokens; all up to now."""
        end = self.length + keys.shape[2]
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.length = end
        return self.keys[:, :, :end].to(keys.dtype), self.values[:, :, :end].to(values.dtype)

    def repeat(self, times: int) -> "KeyValueCache":
        """The cache with each row `times` times in a row."""
        return KeyValueCache(
            self.keys.repeat_interleave(times, 0), self.values.repeat_interleave(times, 0), self.length
        )


class RotaryEmbedding(nn.Module):
    """Rotary positions, in halves as Qwen3 turns them (Su et al., https://arxiv.org/abs/2104.09864)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, head_dim: int, length: int, theta: float) -> None:
        super().__init__()
        frequencies = theta ** -(torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
        angles = torch.outer(torch.arange(length, dtype=torch.float64), frequencies).repeat(1, 2)  # [T, D]
        self.register_buffer("cos", angles.cos().float(), persistent=False)
        self.register_buffer("sin", angles.sin().float(), persistent=False)

    def forward(self, x_BHTD: Tensor, positions_BT: Tensor | None) -> Tensor:
        """Turn queries or keys; without positions the first token of each row is at 0."""
        if positions_BT is None:
            cos, sin = self.cos[: x_BHTD.shape[2]], self.sin[: x_BHTD.shape[2]]
        else:
            cos, sin = self.cos[positions_BT][:, None], self.sin[positions_BT][:, None]
        left, right = x_BHTD.chunk(2, dim=-1)
        turned = torch.cat((-right, left), dim=-1)
        return (x_BHTD * cos + turned * sin).to(x_BHTD.dtype)


class Attention(nn.Module):
    """Grouped-query attention with normalised queries and keys (https://arxiv.org/abs/2305.13245, 2010.04245)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = (config.num_heads, config.num_kv_heads, config.num_kv_heads)
        self.head_dim = config.head_dim
        self.qkv = nn.Linear(config.hidden_size, sum(self.heads) * config.head_dim, bias=False)
        self.out = nn.Linear(config.num_heads * config.head_dim, config.hidden_size, bias=False)
        self.query_norm = nn.RMSNorm(config.head_dim, config.norm_eps)
        self.key_norm = nn.RMSNorm(config.head_dim, config.norm_eps)

    def forward(
        self,
        x_BTC: Tensor,
        rotary: RotaryEmbedding,
        mask: Tensor | None,
        positions_BT: Tensor | None,
        cache: KeyValueCache | None,
    ) -> Tensor:
        B, T, _ = x_BTC.shape
        qkv = self.qkv(x_BTC).view(B, T, -1, self.head_dim).transpose(1, 2)
        q_BHTD, k_BKTD, v_BKTD = qkv.split(self.heads, dim=1)
        q_BHTD = rotary(self.query_norm(q_BHTD.float()), positions_BT).to(v_BKTD.dtype)
        k_BKTD = rotary(self.key_norm(k_BKTD.float()), positions_BT).to(v_BKTD.dtype)
        if cache is not None:
            k_BKTD, v_BKTD = cache.append(k_BKTD, v_BKTD)
        mixed_BHTD = F.scaled_dot_product_attention(
            q_BHTD, k_BKTD, v_BKTD, attn_mask=mask, is_causal=mask is None, enable_gqa=True
        )
        out: Tensor = self.out(mixed_BHTD.transpose(1, 2).reshape(B, T, -1))
        return out


class MLP(nn.Module):
    """SwiGLU (Shazeer, https://arxiv.org/abs/2002.05202)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x_BTC: Tensor) -> Tensor:
        gate, up = self.gate_up(x_BTC).chunk(2, dim=-1)
        out: Tensor = self.down(F.silu(gate) * up)
        return out


class Block(nn.Module):
    """One layer: attention, then the MLP, each on the normalised residual stream and added to it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.attention = Attention(config)
        self.mlp_norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.mlp = MLP(config)

    def forward(
        self,
        x_BTC: Tensor,
        rotary: RotaryEmbedding,
        mask: Tensor | None,
        positions_BT: Tensor | None,
        cache: KeyValueCache | None,
    ) -> Tensor:
        x_BTC = x_BTC + self.attention(self.attention_norm(x_BTC), rotary, mask, positions_BT, cache)
        out: Tensor = x_BTC + self.mlp(self.mlp_norm(x_BTC))
        return out
