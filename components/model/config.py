"""The shape of a model, and the depth from which it follows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

from annotated_types import Ge, Gt

from components.model.rope import LongRope, RopeScaling

HEAD_DIM = 64

Architecture = Literal["decoder", "encoder", "encoder_decoder"]
Positions = Literal["rotary", "learned", "sinusoidal"]
Norm = Literal["rms", "layer"]
NormPosition = Literal["pre", "post", "both"]  # both: before and after each layer, as in Gemma 2
Activation = Literal["swiglu", "geglu", "gelu", "relu"]
GATED = ("swiglu", "geglu")
Matrices = Literal["qkv", "out", "mlp"]


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What layers of other families have and those of ours do not; the defaults are ours.

    They come from imported checkpoints alone (`formats`), and no setting offers them.
    """

    family: str | None = None  # the model type of `transformers` it is written as; None: the first that fits
    biased: tuple[Matrices, ...] = ()  # the matrices with biases
    embedding_scale: float | None = None  # of the embeddings of tokens
    attention_scale: float | None = None  # of queries times keys; None: head_dim ** -0.5
    attention_soft_cap: float | None = None
    rotary_dim: int | None = None  # dimensions of a head that are rotated; None: all
    rope_scaling: RopeScaling | None = None
    sliding_window: int | None = None  # tokens, with itself, that a token sees in the sliding layers
    sliding_layers: tuple[int, ...] = ()  # their numbers, from 0 on
    sliding_rope_theta: float | None = None  # of the sliding layers, without scaling; None: as in the others
    unrotated_layers: tuple[int, ...] = ()  # the numbers of the layers without positions


class LayerKind(NamedTuple):
    """What a layer shares with others: layers of a kind see the same positions and tokens."""

    sliding: bool
    rotated: bool


@dataclass(frozen=True, kw_only=True)
class Config:
    """What every model says about itself."""

    architecture: Architecture
    vocab_size: int
    labels: tuple[str, ...]  # the classes of the head in place of tokens; empty: it predicts tokens
    hidden_size: int
    num_layers: int  # of an encoder-decoder: of each half
    intermediate_size: int  # the width inside an MLP
    max_sequence_length: int  # in tokens

    @property
    def predicts_tokens(self) -> bool:
        """Whether the head predicts tokens, so that the model has a likelihood of documents."""
        return not self.labels

    @property
    def decoder_start(self) -> int | None:
        """The first token of the decoder of an encoder-decoder; None: the end of a text, whatever its id."""
        return None

    def with_labels(self, labels: Sequence[str]) -> Self:
        """The same encoder with a head for labels."""
        return replace(self, labels=tuple(labels))

    def max_prompt_tokens(self, max_new_tokens: int) -> int:
        """The maximum number of tokens in a prompt: in a decoder it shares the window with the answer."""
        window = self.max_sequence_length
        shares = self.architecture == "decoder" or max_new_tokens > window
        return window - max_new_tokens if shares else window


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """All sizes of a Transformer, and the form of its layers."""

    num_heads: int
    num_kv_heads: int
    head_dim: int
    positions: Positions
    rope_theta: float
    norm: Norm
    norm_position: NormPosition
    norm_eps: float
    activation: Activation
    qk_norm: bool
    tie_embeddings: bool
    logit_soft_cap: float | None
    ngram_rows: tuple[int, ...] = ()  # of the tables of 2, 3, ... tokens that are looked up together; empty: no n-grams
    traits: Traits = Traits()

    @property
    def num_outputs(self) -> int:
        """The number of classes of the head: the labels, or else the tokens."""
        return len(self.labels) or self.vocab_size

    def has_bias(self, matrices: Matrices) -> bool:
        """Whether matrices have biases: those of our models with LayerNorm do, those with RMSNorm do not."""
        return self.norm == "layer" or matrices in self.traits.biased

    @property
    def layer_kinds(self) -> tuple[LayerKind, ...]:
        """The kind of each layer."""
        rotary, traits = self.positions == "rotary", self.traits
        return tuple(
            LayerKind(layer in traits.sliding_layers, rotary and layer not in traits.unrotated_layers)
            for layer in range(self.num_layers)
        )

    @property
    def longest_window(self) -> int | None:
        """The largest `max_sequence_length` that the positions allow, in tokens; None: any."""
        if self.positions == "learned":
            return self.max_sequence_length
        scaling = self.traits.rope_scaling
        return scaling.original_max_position_embeddings if isinstance(scaling, LongRope) else None


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The sizes follow from one setting, `depth`; each can be set by hand.

    docs/decisions.md, "What an ingredient is worth"
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    architecture: Architecture
    depth: Annotated[int, Ge(1)]
    positions: Positions
    rope_theta: Annotated[float, Gt(0)]
    norm: Norm
    norm_position: NormPosition
    norm_eps: Annotated[float, Gt(0)]
    activation: Activation
    qk_norm: bool
    tie_embeddings: bool
    logit_soft_cap: Annotated[float, Gt(0)] | None = None
    ngram_rows: tuple[Annotated[int, Ge(1)], ...] = ()
    hidden_size: Annotated[int, Ge(8)] | None = None
    num_heads: Annotated[int, Ge(1)] | None = None
    num_kv_heads: Annotated[int, Ge(1)] | None = None
    head_dim: Annotated[int, Ge(2)] | None = None
    intermediate_size: Annotated[int, Ge(8)] | None = None

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"num_heads ({self.heads}) must be a multiple of num_kv_heads ({self.kv_heads})")
        if self.positions == "rotary" and (self.head_dim or HEAD_DIM) % 2:
            raise ValueError(f"head_dim ({self.head_dim}) must be even: rotary positions turn pairs")
        if self.ngram_rows and self.architecture != "decoder":
            raise ValueError("ngram_rows must be left out: only a decoder looks up n-grams")

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
        """The configuration for a vocabulary and a window."""
        # A gate makes three matrices out of two; the width keeps the number of weights the same (Shazeer 2020).
        expansion = 8 / 3 if self.activation in GATED else 4
        return ModelConfig(
            architecture=self.architecture,
            vocab_size=vocab_size,
            labels=(),
            hidden_size=self.width,
            num_layers=self.depth,
            num_heads=self.heads,
            num_kv_heads=self.kv_heads,
            head_dim=self.head_dim or HEAD_DIM,
            intermediate_size=self.intermediate_size or _multiple_of(64, expansion * self.width),
            max_sequence_length=max_sequence_length,
            positions=self.positions,
            rope_theta=self.rope_theta,
            norm=self.norm,
            norm_position=self.norm_position,
            norm_eps=self.norm_eps,
            activation=self.activation,
            qk_norm=self.qk_norm,
            tie_embeddings=self.tie_embeddings,
            logit_soft_cap=self.logit_soft_cap,
            ngram_rows=self.ngram_rows,
        )


def _multiple_of(unit: int, size: float) -> int:
    return max(unit, round(size / unit) * unit)
