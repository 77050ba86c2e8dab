"""The shape of a model, and the dial from which it follows."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt

HEAD_DIM = 64


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Every size of a decoder, in the terms of the Qwen3 architecture."""

    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    max_sequence_length: int  # in tokens
    rope_theta: float
    norm_eps: float
    tie_embeddings: bool


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """One dial, `depth`, gives the sizes; each can be set by hand."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    depth: Annotated[int, Ge(1)]
    tie_embeddings: bool
    rope_theta: Annotated[float, Gt(0)]
    norm_eps: Annotated[float, Gt(0)]
    hidden_size: Annotated[int, Ge(8)] | None = None
    num_heads: Annotated[int, Ge(1)] | None = None
    num_kv_heads: Annotated[int, Ge(1)] | None = None
    head_dim: Annotated[int, Ge(2)] | None = None
    intermediate_size: Annotated[int, Ge(8)] | None = None

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"num_heads ({self.heads}) must be a multiple of num_kv_heads ({self.kv_heads})")
        if (self.head_dim or HEAD_DIM) % 2:
            raise ValueError(f"head_dim ({self.head_dim}) must be even: rotary positions turn pairs")

    @property
    def width(self) -> int:
        """The hidden size: 64 for each layer (the aspect ratio of nanochat)."""
        return self.hidden_size or 64 * self.depth

    @property
    def heads(self) -> int:
        """The number of query heads."""
        return self.num_heads or max(1, self.width // (self.head_dim or HEAD_DIM))

    @property
    def kv_heads(self) -> int:
        """The number of key and value heads: half the query heads, where that is a whole number."""
        return self.num_kv_heads or (self.heads // 2 if self.heads % 2 == 0 else self.heads)

    def build(self, vocab_size: int, max_sequence_length: int) -> ModelConfig:
        """The sizes for a vocabulary and a window."""
        return ModelConfig(
            vocab_size=vocab_size,
            hidden_size=self.width,
            num_layers=self.depth,
            num_heads=self.heads,
            num_kv_heads=self.kv_heads,
            head_dim=self.head_dim or HEAD_DIM,
            intermediate_size=self.intermediate_size or _multiple_of(64, 8 * self.width / 3),
            max_sequence_length=max_sequence_length,
            rope_theta=self.rope_theta,
            norm_eps=self.norm_eps,
            tie_embeddings=self.tie_embeddings,
        )


def _multiple_of(unit: int, size: float) -> int:
    return max(unit, round(size / unit) * unit)
