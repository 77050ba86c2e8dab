"""Positions: rotary ones, which turn queries and keys, and sinusoids, which are added to the embeddings.

Names end with shapes: B batch, T time, C hidden size, H heads, D head size.
"""

import torch
from torch import Tensor, nn

from components.model import rope
from components.model.config import ModelConfig

Rotation = tuple[Tensor, Tensor]
"""Cosines and sines that rotate queries and keys, each [B or 1, 1, T, D]; the first half of the sines is negative."""


class RotaryEmbedding(nn.Module):
    """Rotary positions, in halves as in Qwen3 (Su et al., https://arxiv.org/abs/2104.09864)."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig, theta: float, scaling: rope.RopeScaling | None) -> None:
        super().__init__()
        rotated = config.traits.rotary_dim or config.head_dim
        frequencies = theta ** -(torch.arange(0, rotated, 2, dtype=torch.float64) / rotated)
        if scaling is not None:
            frequencies = torch.tensor(rope.scaled(scaling, frequencies.tolist(), theta), dtype=torch.float64)
        factor = rope.attention_factor(scaling)
        places = torch.arange(config.max_sequence_length, dtype=torch.float64)
        angles = torch.outer(places, frequencies)
        cos, sin = angles.cos() * factor, angles.sin() * factor
        still = (len(places), (config.head_dim - rotated) // 2)  # pairs of dimensions that do not turn
        cos, sin = torch.cat((cos, cos.new_ones(still)), 1), torch.cat((sin, sin.new_zeros(still)), 1)
        self.register_buffer("cos", cos.float().repeat(1, 2), persistent=False)  # [T, D]
        self.register_buffer("sin", torch.cat((-sin, sin), 1).float(), persistent=False)

    def forward(self, length: int, positions_BT: Tensor | None) -> Rotation:
        """The rotation of a row of tokens, by default at positions from 0 on."""
        if positions_BT is None:
            return self.cos[None, None, :length], self.sin[None, None, :length]
        return self.cos[positions_BT][:, None], self.sin[positions_BT][:, None]


def rotate(x_BHTD: Tensor, rotation: Rotation) -> Tensor:
    """Queries or keys rotated by their positions."""
    cos, sin = rotation
    left, right = x_BHTD.chunk(2, dim=-1)
    return x_BHTD * cos + torch.cat((right, left), dim=-1) * sin


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
