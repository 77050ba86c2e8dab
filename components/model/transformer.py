"""The decoder: exactly the architecture of Qwen3 (https://arxiv.org/abs/2505.09388), in plain PyTorch."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.model.config import ModelConfig
from components.model.layers import Block, KeyValueCache, RotaryEmbedding

IGNORED = -100
"""The target of a position that has no part in the loss."""


class Transformer(nn.Module):
    """Tokens [B, T] to logits [B, T, V]; a token sees itself and those before it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.rotary = RotaryEmbedding(config.head_dim, config.max_sequence_length, config.rope_theta)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.RMSNorm(config.hidden_size, config.norm_eps)
        self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.head.weight = self.embedding.weight

    def forward(
        self,
        tokens_BT: Tensor,
        *,
        mask: Tensor | None = None,
        positions_BT: Tensor | None = None,
        cache: Sequence[KeyValueCache] | None = None,
    ) -> Tensor:
        """The logits [B, T, V].

        mask: which keys each query sees, bool [B, 1, T, S]; causal when absent. positions_BT: 0, 1, ... when absent.
        cache: one per layer; the new tokens are added to it.
        """
        x_BTC = self.embedding(tokens_BT)
        for number, block in enumerate(self.blocks):
            x_BTC = block(x_BTC, self.rotary, mask, positions_BT, cache[number] if cache else None)
        logits: Tensor = self.head(self.norm(x_BTC))
        return logits

    def loss(self, tokens_BT: Tensor, targets_BT: Tensor, segments_BT: Tensor) -> Tensor:
        """The sum of the cross-entropy, in nats, over the positions whose target is not `IGNORED`.

        segments_BT numbers the parts of each row; attention does not cross from one to another.
        """
        logits = self(tokens_BT, mask=within_segments(segments_BT)).float()
        return F.cross_entropy(logits.flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORED, reduction="sum")

    def initialize(self, generator: torch.Generator) -> None:
        """GPT-2's start: normal weights, the projections into the residual stream smaller with depth."""
        into_residual = 0.02 / (2 * self.config.num_layers) ** 0.5
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                std = into_residual if name.endswith(("attention.out.weight", "mlp.down.weight")) else 0.02
                nn.init.normal_(weight, std=std, generator=generator)

    def flops_per_token(self, length: int) -> int:
        """Forward and backward, in floating-point operations: 6 a weight of the matrices, and causal attention."""
        config = self.config
        matrices = sum(p.numel() for p in self.blocks.parameters() if p.ndim == 2) + self.head.weight.numel()
        attention = 6 * config.num_layers * config.num_heads * config.head_dim * length
        return 6 * matrices + attention


def within_segments(segments_BT: Tensor) -> Tensor:
    """The mask [B, 1, T, T] by which a token sees itself and those before it in its own segment."""
    same = segments_BT[:, :, None] == segments_BT[:, None, :]
    return same.tril()[:, None]
