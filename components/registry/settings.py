"""The sections `package` and `gate` of `params.yaml`."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from components.core import params
from components.serving.request import MaxNewTokens, Temperature, TopP


@dataclass(frozen=True, kw_only=True)
class Package:
    """What the package states in addition to the weights."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    license: Annotated[str, MinLen(1)]  # of the weights, as an SPDX identifier
    max_new_tokens: MaxNewTokens  # of an answer, by default
    temperature: Temperature  # 0 is greedy
    top_p: TopP
    repetition_penalty: Annotated[float, Ge(1)]  # 1 is none


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The requirements for a model to become champion."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    max_bits_per_byte: Annotated[float, Gt(0)]  # of all test documents, at most
    max_slice_bits_per_byte: Annotated[float, Gt(0)]  # of each language, source and length, at most
    min_margin: Annotated[float, Ge(-1), Le(1)]  # of each task's score over the trivial baseline's, in points of 1
    min_gain: Annotated[float, Ge(0)]  # over the present champion, in bits per byte
    min_documents: Annotated[int, Ge(2)]  # of a slice, and examples of a task: fewer are not judged
    max_verbatim: Annotated[float, Ge(0), Le(1)]  # share of train documents that are completed verbatim
    max_personal_data: Annotated[float, Ge(0), Le(1)]  # share of generated texts that contain some
    max_slowdown: Annotated[float, Gt(0)]  # milliseconds per token over the champion's
    max_growth: Annotated[float, Gt(0)]  # bytes of the weights over the champion's
    lineage: Literal["required", "reported"]  # whether a gap in it keeps a model out
    confidence: Annotated[float, Gt(0.5), Lt(1)]
    resamples: Annotated[int, Ge(100)]
    seed: Annotated[int, Ge(0)]
    approval: Literal["none", "required"]  # required: a person has to agree as well


@dataclass(frozen=True, kw_only=True)
class GateByRecipe(Gate):
    """The section `gate`: the requirements for all models, and those that differ for a recipe."""

    recipes: dict[str, dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        for name in self.recipes or {}:
            self.of(name)

    def of(self, recipe: str) -> Gate:
        """The requirements for the models of a recipe. Raises `BadSettings` for an unknown one."""
        common = {field.name: getattr(self, field.name) for field in fields(Gate)}
        own = (self.recipes or {}).get(recipe, {})
        return params.parse(common | own, Gate, f"gate.recipes.{recipe}")


def gate_of(recipe: str, path: Path = params.PARAMS) -> Gate:
    """The requirements for the models of a recipe."""
    return params.read("gate", GateByRecipe, path).of(recipe)
