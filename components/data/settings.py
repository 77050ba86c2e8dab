"""The sections `ingest`, `validate` and `prepare` of params.yaml, apart from the stages so that they import quickly."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Interval, Len, MinLen


@dataclass(frozen=True, kw_only=True)
class Ingest:
    """The section `ingest`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    sources: str  # path of the catalogue
    licenses: Annotated[tuple[str, ...], Len(1)]  # SPDX ids that a source may have
    take: Annotated[tuple[str, ...], Len(1)]  # of what the sources yield: `documents`, and names of tasks
    max_bad_rows: Annotated[float, Interval(ge=0, le=1)]  # share of a source's rows that may be rejected as unreadable


@dataclass(frozen=True, kw_only=True)
class Executor:
    """The section `executor`: whose processors work on batches of rows. The results stay the same."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    kind: Literal["local", "ray"]  # this machine, or the cluster at the address
    address: str | None = None  # HOST:PORT of the head of the cluster; a local executor has none

    def __post_init__(self) -> None:
        if (self.kind == "ray") != (self.address is not None):
            raise ValueError("`address` belongs to the kind ray, and this kind needs it")


@dataclass(frozen=True, kw_only=True)
class OwnRule:
    """A rule of a user for the values of a column: one check, and the share of the rows that have to pass it.

    Limits that are unset are open. Without any of the two shares, all rows have to pass.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: Annotated[str, MinLen(1)]
    severity: Literal["block", "warn"]
    data: Literal["raw", "prepared"]
    table: Literal["documents", "examples"]
    column: Annotated[str, MinLen(1)]  # of the table, or `inputs.NAME`
    where: dict[str, str] | None = None  # column -> value: only rows that have it are judged
    present: Literal[True] | None = None  # neither missing nor blank
    min_characters: Annotated[int, Ge(0)] | None = None
    max_characters: Annotated[int, Ge(0)] | None = None
    min_value: float | None = None  # of the number that a text is
    max_value: float | None = None
    matches: str | None = None  # a pattern of RE2 that stands somewhere in the value
    excludes: str | None = None  # the same, which stands nowhere
    one_of: Annotated[tuple[str, ...], MinLen(1)] | None = None
    min_share: Annotated[float, Interval(ge=0, le=1)] | None = None  # of the rows that are judged
    max_share: Annotated[float, Interval(ge=0, le=1)] | None = None


@dataclass(frozen=True, kw_only=True)
class Validate:
    """The section `validate`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    moved: ClassVar[dict[str, str]] = {"tasks": "data/tasks.yaml has the tasks with their labels: take it out"}

    max_characters: Annotated[int, Ge(1)]  # of the main text of an example
    max_duplicates: Annotated[float, Interval(ge=0, le=1)]  # share of raw rows, beyond which it warns
    min_rows_per_source: Annotated[int, Ge(0)]
    min_rows_per_task: Annotated[int, Ge(0)]
    min_language_share: dict[str, float]  # language -> share of the documents' bytes, below which it warns
    rules: tuple[OwnRule, ...] | None = None  # of the user


@dataclass(frozen=True, kw_only=True)
class DocumentLimits:
    """Limits for a document. Shares are of its characters, or of its lines."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    min_characters: Annotated[int, Ge(1)]
    max_characters: Annotated[int, Ge(1)]  # a longer one is divided into parts
    max_symbols: Annotated[float, Interval(ge=0, le=1)]
    max_unreadable: Annotated[float, Interval(ge=0, le=1)]
    max_repeated_lines: Annotated[float, Interval(ge=0, le=1)]
    min_confidence: Annotated[float, Interval(gt=0, le=1)] | None = None  # in a language that no source declares


OTHER = "other"  # all languages that have no rules of their own
WITHOUT_SPACES = frozenset(["bo", "dz", "ja", "km", "lo", "my", "th", "yue", "zh"])  # languages; rules count no words

Number = Annotated[int, Ge(0)] | None
Share = Annotated[float, Interval(ge=0, le=1)] | None


@dataclass(frozen=True, kw_only=True)
class QualityRules:
    """Rules for the documents of a language, in the order in which they are asked; those that are unset are off.

    What each measures: components/data/cleaning/measures.py, and docs/rejected.md with the published thresholds.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    # Of lines, which leave the document.
    c4_max_word_length_in_line: Number = None
    c4_drop_lines_without_end: bool | None = None
    c4_min_words_in_line: Number = None
    c4_drop_javascript_lines: bool | None = None
    c4_drop_policy_lines: bool | None = None
    # Of the rest of the document.
    gopher_min_words: Number = None
    gopher_max_words: Number = None
    gopher_min_word_length: Annotated[float, Ge(0)] | None = None
    gopher_max_word_length: Annotated[float, Ge(0)] | None = None
    gopher_max_hashes: Share = None
    gopher_max_ellipses: Share = None
    gopher_max_bullet_lines: Share = None
    gopher_max_ellipsis_lines: Share = None
    gopher_min_alphabetic_words: Share = None
    gopher_min_stop_words: Number = None
    gopher_max_repeated_lines: Share = None
    gopher_max_repeated_paragraphs: Share = None
    gopher_max_repeated_line_characters: Share = None
    gopher_max_repeated_paragraph_characters: Share = None
    gopher_max_top_2_gram: Share = None
    gopher_max_top_3_gram: Share = None
    gopher_max_top_4_gram: Share = None
    gopher_max_repeated_5_grams: Share = None
    gopher_max_repeated_6_grams: Share = None
    gopher_max_repeated_7_grams: Share = None
    gopher_max_repeated_8_grams: Share = None
    gopher_max_repeated_9_grams: Share = None
    gopher_max_repeated_10_grams: Share = None
    c4_min_sentences: Number = None
    c4_max_lorem_ipsum: Number = None
    c4_max_curly_brackets: Number = None
    fineweb_min_punctuated_lines: Share = None
    fineweb_max_short_lines: Share = None
    fineweb_max_repeated_characters: Share = None
    fineweb_max_line_breaks: Annotated[float, Ge(0)] | None = None

    @property
    def on(self) -> dict[str, Any]:
        """The settings of the rules that are on, by name."""
        return {name: setting for name, setting in asdict(self).items() if setting is not None}


def counts_words(rule: str) -> bool:
    """Whether a rule makes sense only where words are written with spaces between them."""
    counted = ("word", "_gram", "hashes", "ellipses", "line_breaks")
    return any(part in rule for part in counted)


@dataclass(frozen=True, kw_only=True)
class BoilerplateLimits:
    """What makes a line boilerplate of its source."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    min_documents: Annotated[int, Ge(2)]  # of the source that have the line
    min_characters: Annotated[int, Ge(1)]  # of the line; shorter ones stay


@dataclass(frozen=True, kw_only=True)
class ExampleLimits:
    """Limits for an example: fewer than for documents, since people chose the examples."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    max_characters: Annotated[int, Ge(1)]  # of its main text


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The expected shares of the two held-out splits; the rest is for training."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    unit: Literal["document", "part"]  # what falls into a split as a whole: a document, or each part of a long one
    validation: Annotated[float, Interval(gt=0, lt=0.5)]
    test: Annotated[float, Interval(gt=0, lt=0.5)]


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """What makes two texts near copies: `threshold` is the least Jaccard similarity of their shingles."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    threshold: Annotated[float, Interval(ge=0.5, le=1)]
    shingle_words: Annotated[int, Ge(1)]  # words of a shingle; characters where a script has no spaces
    min_words: Annotated[int, Ge(1)]  # texts with fewer are copies only when they are equal


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """The section `prepare`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    repair_encoding: bool  # of lines that were decoded by another encoding than their own
    documents: DocumentLimits
    quality: dict[str, QualityRules] | None = None  # language, or `other` -> its rules; unset: none
    boilerplate: BoilerplateLimits | None = None  # unset: no line leaves because others have it
    examples: ExampleLimits
    splits: Shares
    duplicates: Duplicates | None  # null: only equal texts are copies
    benchmarks: tuple[str, ...]  # files below data/benchmarks with texts that nothing may be trained on
    max_overlap: Annotated[float, Interval(gt=0, le=1)] | None = None  # unset: nothing is decontaminated

    def __post_init__(self) -> None:
        for language, rules in (self.quality or {}).items():
            wrong = [rule for rule in rules.on if counts_words(rule)] if language in WITHOUT_SPACES else []
            if wrong:
                raise ValueError(f"`{wrong[0]}` counts words, between which {language} has no spaces: take it out")
