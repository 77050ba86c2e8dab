"""From the rows of files and datasets to documents and examples, by the names of columns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from annotated_types import Len

from components.core.errors import BadData, BadSettings
from components.data.tables.records import MAIN_INPUTS, Document, Example, Record

RawRow = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class DocumentColumns:
    """The columns that make a document."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    text: str
    language: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExampleColumns:
    """The columns that make an example of a task; `labels` renames targets (class numbers to names)."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    task: str
    inputs: Annotated[dict[str, str], Len(1)]  # input -> column
    target: str
    labels: dict[str, str] = field(default_factory=dict)


def check(documents: DocumentColumns | None, examples: ExampleColumns | None, where: str) -> None:
    """Raise `BadSettings` when no columns are named, or an example would have no main text."""
    if documents is None and examples is None:
        raise BadSettings(f"{where}: name the columns under `documents`, `examples` or both")
    if examples and not set(MAIN_INPUTS) & set(examples.inputs):
        raise BadSettings(f"{where}: examples.inputs needs one of {' and '.join(MAIN_INPUTS)}")


def records(
    rows: Iterator[tuple[str, str, RawRow]], documents: DocumentColumns | None, examples: ExampleColumns | None
) -> Iterator[Record]:
    """The records of rows given as (key, place for error lines, columns)."""
    for key, place, row in rows:
        if documents:
            language = _text(row, documents.language, place) if documents.language else None
            yield Document(key, _text(row, documents.text, place), language)
        if examples:
            inputs = {name: _text(row, column, place) for name, column in examples.inputs.items()}
            yield Example(key, examples.task, inputs, _target(row, examples, place))


def _target(row: RawRow, examples: ExampleColumns, place: str) -> str | None:
    if not examples.labels:
        return _text(row, examples.target, place)
    value = str(_value(row, examples.target, place))
    if value not in examples.labels:
        raise BadData(f"{place}: `{examples.target}` is {value!r}, which `labels` does not name")
    return examples.labels[value]


def _text(row: RawRow, column: str, place: str) -> str | None:
    value = _value(row, column, place)
    if value is None or isinstance(value, str):
        return value
    raise BadData(f"{place}: `{column}` is not text but {type(value).__name__}")


def _value(row: RawRow, column: str, place: str) -> object:
    if column not in row:
        raise BadData(f"{place}: no column `{column}`; there are {', '.join(map(str, row))}")
    return row[column]
