"""The settings of LoRA; apart from its code, so that settings are read without PyTorch."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, MinLen


@dataclass(frozen=True, kw_only=True)
class Lora:
    """The section `lora` of a recipe."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    rank: Annotated[int, Ge(1)]
    alpha: Annotated[float, Gt(0)]  # adapters count alpha / rank times
    targets: Literal["all"] | Annotated[tuple[str, ...], MinLen(1)]  # names in `transformers`; all: of each layer
    register: Literal["merged", "adapter"]  # the weights with the adapter in them, or the adapter beside its base
