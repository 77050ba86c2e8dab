"""Settings of the training stages."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Len, Lt, MinLen

from components.model.config import ModelSettings
from components.model.lora_settings import Lora

Betas = tuple[Annotated[float, Ge(0), Le(1)], Annotated[float, Ge(0), Le(1)]]


@dataclass(frozen=True, kw_only=True)
class PartialOptimization:
    """How a model is trained, whatever the data; what is left out follows from its size (`scaling.py`)."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    seed: Annotated[int, Ge(0)]
    steps: Annotated[int, Ge(1)] | None = None
    batch_size: Annotated[int, Ge(1)] | None = None  # rows per step
    learning_rate: Annotated[float, Gt(0)] | None = None
    micro_batch_size: Annotated[int, Ge(1)]  # rows in memory at once; gradients accumulate over the others
    optimizer: Literal["muon", "adamw"]
    warmup_steps: Annotated[int, Ge(0)]
    decay: Literal["linear", "cosine"]
    decay_share: Annotated[float, Ge(0), Le(1)]  # of the steps, at the end
    weight_decay: Annotated[float, Ge(0)]
    betas: Betas
    max_gradient_norm: Annotated[float, Gt(0)]
    max_skipped_steps: Annotated[int, Ge(1)]  # spikes in a row; then back to the last checkpoint, past those rows
    max_rollbacks: Annotated[int, Ge(0)]  # then the run ends
    z_loss: Annotated[float, Ge(0)]  # weight of the squared log-normaliser of the logits
    activation_checkpointing: bool  # store less for the gradient and compute it again
    precision: Literal["auto", "bf16", "fp32"]
    compile: Literal["auto", "always", "never"]
    log_every: Annotated[int, Ge(1)]  # steps
    validate_every: Annotated[int, Ge(1)]  # steps
    checkpoint_every: Annotated[int, Ge(1)]  # steps

    def __post_init__(self) -> None:
        if self.batch_size is not None and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size ({self.batch_size}) must be a multiple of micro_batch_size ({self.micro_batch_size})"
            )


@dataclass(frozen=True, kw_only=True)
class Optimization(PartialOptimization):
    """The same with all values filled in."""

    # `field()`, as otherwise the defaults of the parent would stay.
    steps: Annotated[int, Ge(1)] = field()
    batch_size: Annotated[int, Ge(1)] = field()
    learning_rate: Annotated[float, Gt(0)] = field()


@dataclass(frozen=True, kw_only=True)
class MaskedTokens:
    """The tokens that the objective `masked` hides."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    rate: Annotated[float, Gt(0), Lt(1)]  # of the tokens, hidden
    masked: Annotated[float, Ge(0), Le(1)]  # of the hidden ones, show the mask
    random: Annotated[float, Ge(0), Le(1)]  # of the hidden ones, show a random token; the rest show themselves

    def __post_init__(self) -> None:
        if self.masked + self.random > 1:
            raise ValueError(f"masked ({self.masked}) and random ({self.random}) are more than all hidden tokens")


@dataclass(frozen=True, kw_only=True)
class CorruptedSpans:
    """The spans that the objective `span_corruption` hides."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    rate: Annotated[float, Gt(0), Lt(1)]  # of the tokens, hidden
    mean_span: Annotated[float, Ge(1)]  # in tokens


@dataclass(frozen=True, kw_only=True)
class PinnedModel:
    """A model folder to start from, pinned by the digest of its weights."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    folder: Annotated[str, MinLen(1)]
    sha256: Annotated[str, Len(64, 64)]  # of its safetensors files in the order of their names, one after the other


@dataclass(frozen=True, kw_only=True)
class LastPhase:
    """The last part of a training run, on chosen sources."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    share: Annotated[float, Gt(0), Lt(1)]  # of the steps
    weights: Annotated[dict[str, Annotated[float, Gt(0)]], MinLen(1)]  # as in `Mixture`, of the sources that it reads


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """How often the documents of each source are read."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    weights: dict[str, Annotated[float, Ge(0)]]  # relative to the documents of a source without one, which has 1
    epochs: dict[str, Annotated[float, Ge(0)]]  # of these sources, exactly; the others share the other steps
    language_temperature: Annotated[float, Ge(1)]  # a language's share p of the text becomes p^(1/temperature)
    last_phase: LastPhase | None = None

    def __post_init__(self) -> None:
        if both := self.weights.keys() & self.epochs.keys():
            raise ValueError(f"{min(both)} has a weight and epochs: give one of them")


CHAMPION = "champion"
"""What `start` says to go on from the champion, which `data/start.json` pins."""

ObjectiveName = Literal["causal", "masked", "span_corruption", "sequence_to_sequence"]
OBJECTIVES: dict[str, tuple[ObjectiveName, ...]] = {
    "decoder": ("causal",),
    "encoder": ("masked",),
    "encoder_decoder": ("span_corruption", "sequence_to_sequence"),
}


@dataclass(frozen=True, kw_only=True)
class Pretrain:
    """The section `pretrain`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    model: ModelSettings
    objective: ObjectiveName
    start: PinnedModel | Literal["champion"] | None = None  # continue from its weights and sizes, not from random ones
    replay: Annotated[float, Ge(0), Lt(1)] | None = None  # with the champion: share of the steps on what it has read
    mixture: Mixture | None = None  # of the sources; else all documents are read equally often
    masked: MaskedTokens | None = None  # for the objective of this name
    span_corruption: CorruptedSpans | None = None  # for the objective of this name
    tasks: dict[str, Annotated[float, Gt(0)]] | None = None  # of sequence_to_sequence, with their shares
    document_mask: bool  # attention does not cross from one document to another
    zero_projections: bool  # each block begins as the identity
    sequence_length: Annotated[int, Ge(8)]  # in tokens; also the window of the model
    keep_optimizer: bool  # beside the weights, for a training that goes on from them
    validation_rows: Annotated[int, Ge(1)]
    optimization: PartialOptimization

    def __post_init__(self) -> None:
        fitting = OBJECTIVES[self.model.architecture]
        if self.objective not in fitting:
            raise ValueError(f"a {self.model.architecture} takes the objective {' or '.join(fitting)}")
        if (self.start == CHAMPION) != (self.replay is not None):
            raise ValueError(f"`replay` has to be set for `start: {CHAMPION}`, and for it alone")
        if self.start == CHAMPION and self.objective == "sequence_to_sequence":
            raise ValueError("`start: champion` needs an objective that reads documents")
        if self.mixture and (self.start == CHAMPION or self.objective == "sequence_to_sequence"):
            raise ValueError("`mixture` has to be left out for `start: champion`, and for sequence_to_sequence")
        own = {"masked": "masked", "span_corruption": "span_corruption", "sequence_to_sequence": "tasks"}
        for objective, section in own.items():
            if (self.objective == objective) != (getattr(self, section) is not None):
                raise ValueError(f"`{section}` has to be set for the objective {objective}, and for it alone")


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """One recipe in the section `finetune`.

    docs/decisions.md, "The settings of the fine-tuning, on validation examples"
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    base: Annotated[str, MinLen(1)]  # the model folder to start from
    tasks: Annotated[dict[str, Annotated[float, Gt(0)]], MinLen(1)]  # the share of each in the mixture, relative
    start: Literal["champion"] | None = None  # add what the champion's fine-tuning added to its base
    replay: Annotated[float, Ge(0), Lt(1)]  # share of the steps on documents, so that they are not forgotten
    reads: Literal["data/tokens", "data/prepared/examples"]  # the former has the documents of the replay
    sequence_length: Annotated[int, Ge(8)] | None = None  # of a row, in tokens; else the window of the base
    max_prompt_tokens: Annotated[int, Ge(16)]  # of every task; a longer prompt is cut in its long field
    max_left_out: Annotated[float, Ge(0), Lt(1)] | None = None  # share of a task that may be too long for it; else any
    max_answer_tokens: Annotated[int, Ge(2)]  # including the end of the turn; longer ones are cut
    validation_rows: Annotated[int, Ge(1)]
    method: Literal["full", "lora"]  # which weights are trained
    lora: Lora | None = None  # for the method of this name
    optimization: Optimization

    def __post_init__(self) -> None:
        if (self.method == "lora") != (self.lora is not None):
            raise ValueError("`lora` has to be set for the method lora, and for it alone")
        if self.lora is not None and self.start is not None:
            raise ValueError("`start` has to be left out for the method lora: adapters belong to the base as it is")
        reads = "data/tokens" if self.replay else "data/prepared/examples"
        if self.reads != reads:
            raise ValueError(f"with replay {self.replay:g} `reads` has to be {reads}")


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The section `processes`: how many train, and how they share the work. The results stay the same."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    launcher: Annotated[str, MinLen(1)]  # the command that starts training: python, or torchrun with its options
    parallel: Literal["ddp", "fsdp"]  # each process holds all weights, or a part of their rows
