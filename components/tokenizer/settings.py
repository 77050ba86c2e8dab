"""Settings of the tokenizer stages."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, Len, MinLen


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """A `tokenizer.json` in the Hugging Face format, with the sha256 that it has to have."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    file: Annotated[str, MinLen(1)]
    sha256: Annotated[str, Len(64, 64)]


@dataclass(frozen=True, kw_only=True)
class TrainTokenizer:
    """The section `tokenizer`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    vocab_size: Annotated[int, Ge(512), Le(1_000_000)]  # in tokens, the special ones included
    max_megabytes: Annotated[int, Ge(1)]  # of text to learn from
    start: Pinned | None = None  # take this one, that of an imported model, instead of learning one
    sentinels: Annotated[int, Ge(0)]  # tokens that stand for hidden spans, for the objective span_corruption


@dataclass(frozen=True, kw_only=True)
class Encode:
    """The section `encode`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    compared_documents: Annotated[int, Ge(1)]  # a shard, encoded a second time with `tokenizers`
