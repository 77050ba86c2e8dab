"""The formats of `transformers` that our layers support: their configurations, and their names of the weights.

docs/checkpoints.md has the table of what is exact and what is refused.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from components.model.config import ModelConfig
from components.model.formats import gemma, llama, phi
from components.model.formats.form import Form, Names, Unknown, Unread
from components.model.formats.marian import MARIAN

__all__ = ["BY_TYPE", "Form", "Names", "Unknown", "Unread", "of", "read", "rows"]

BY_TYPE: dict[str, Form] = {
    family.model_type: family.form() for family in (*llama.FAMILIES, *gemma.FAMILIES, *phi.FAMILIES)
} | {"marian": MARIAN}


def of(config: ModelConfig) -> Form | None:
    """The format that a model is written in: that of its family, or the one that fits; None where none does."""
    if config.traits.family is not None:
        return BY_TYPE[config.traits.family]
    return next((form for form in BY_TYPE.values() if form.fits(config)), None)


def read(content: Mapping[str, Any], kind: str) -> ModelConfig:
    """The configuration in a `config.json` of this model type. Raises `Unknown` or `Unread`."""
    config = BY_TYPE[kind].read(content)
    if of(config) is BY_TYPE[kind]:
        return config
    return replace(config, traits=replace(config.traits, family=kind))


def rows(parts: int, config: ModelConfig, length: int) -> list[int]:
    """How many rows of a weight of ours belong to each of their parts."""
    if parts == 3:  # queries, keys, values
        return [heads * config.head_dim for heads in (config.num_heads, config.num_kv_heads, config.num_kv_heads)]
    return [length // parts] * parts
