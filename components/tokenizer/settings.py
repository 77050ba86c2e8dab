"""Settings of the tokenizer stages."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le


@dataclass(frozen=True, kw_only=True)
class TrainTokenizer:
    """The section `tokenizer`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    vocab_size: Annotated[int, Ge(512), Le(1_000_000)]  # in tokens, the special ones included
    max_megabytes: Annotated[int, Ge(1)]  # of text to learn from


@dataclass(frozen=True, kw_only=True)
class Encode:
    """The section `encode`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    compared_documents: Annotated[int, Ge(1)]  # a shard, encoded a second time with `tokenizers`
