"""Settings of the tokenizer stages."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, Len, MinLen


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """A `tokenizer.json` in the Hugging Face format, with the sha256 that it must have."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    file: Annotated[str, MinLen(1)]
    sha256: Annotated[str, Len(64, 64)]


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Into which pieces a text is split before entries are learned: no entry reaches beyond a piece."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    digits: Literal["runs", "single", "triples"]  # a number as a whole, each digit alone, or up to three together
    spaces: Literal["runs", "single"]  # white space before and between lines: together, or each alone
    chinese: Literal["runs", "characters"]  # what stands together, or each character alone


@dataclass(frozen=True, kw_only=True)
class TrainTokenizer:
    """The section `tokenizer`.

    docs/decisions.md, "A vocabulary of 4096"
    docs/decisions.md, "Sentinels only where they are needed"
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    vocab_size: Annotated[int, Ge(512), Le(1_000_000)]  # in tokens, including the special ones
    max_megabytes: Annotated[int, Ge(1)]  # of text to train on
    start: Pinned | None = None  # use this one, that of an imported model, instead of training one
    # Share of the bytes that a token of the champion's tokenizer holds of new documents, to those of its own: with less
    # a tokenizer is trained anew. None trains one whenever the documents change.
    retrain_below: Annotated[float, Ge(0)] | None = None
    pieces: Pieces | None = None  # None splits as GPT-2 does
    sentinels: Annotated[int, Ge(0)]  # tokens that stand for masked spans, for the objective span_corruption


@dataclass(frozen=True, kw_only=True)
class Encode:
    """The section `encode`."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    compared_documents: Annotated[int, Ge(1)]  # per shard, encoded a second time with `tokenizers`
    pairs: bool  # the examples too, for a pretraining on pairs of texts
