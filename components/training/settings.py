"""Settings of the training stages."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from components.model.config import ModelSettings

Betas = tuple[Annotated[float, Ge(0), Le(1)], Annotated[float, Ge(0), Le(1)]]


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """How a model is trained, whatever the data."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    seed: Annotated[int, Ge(0)]
    steps: Annotated[int, Ge(1)]
    batch_size: Annotated[int, Ge(1)]  # rows a step
    micro_batch_size: Annotated[int, Ge(1)]  # rows in memory at once; gradients accumulate over the others
    optimizer: Literal["muon", "adamw"]
    learning_rate: Annotated[float, Gt(0)]
    warmup_steps: Annotated[int, Ge(0)]
    decay: Literal["linear", "cosine"]
    decay_share: Annotated[float, Ge(0), Le(1)]  # of the steps, at the end
    weight_decay: Annotated[float, Ge(0)]
    betas: Betas
    max_gradient_norm: Annotated[float, Gt(0)]
    precision: Literal["auto", "bf16", "fp32"]
    compile: Literal["auto", "always", "never"]
    log_every: Annotated[int, Ge(1)]  # steps
    validate_every: Annotated[int, Ge(1)]  # steps
    checkpoint_every: Annotated[int, Ge(1)]  # steps

    def __post_init__(self) -> None:
        if self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size ({self.batch_size}) must be a multiple of micro_batch_size ({self.micro_batch_size})"
            )


@dataclass(frozen=True, kw_only=True)
class Pretrain:
    """The section `pretrain`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    model: ModelSettings
    sequence_length: Annotated[int, Ge(8)]  # in tokens; also the window of the model
    validation_rows: Annotated[int, Ge(1)]
    optimization: Optimization


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """One recipe in the section `finetune`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    tasks: Annotated[dict[str, Annotated[float, Gt(0)]], MinLen(1)]  # the share of each in the mixture, relative
    replay: Annotated[float, Ge(0), Lt(1)]  # share of the steps on documents, lest they be forgotten
    max_example_tokens: Annotated[int, Ge(16)]  # longer prompts are cut
    validation_rows: Annotated[int, Ge(1)]
    optimization: Optimization
