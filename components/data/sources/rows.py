"""A row of a file or a dataset, and its values by the names of columns.

A name with dots leads into nested values: `answers.text` is the `text` of the object in `answers`, and of a list the
value of each of its members. A column whose own name has dots comes first.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeGuard

from components.core.errors import BadData
from components.data.sources import readers
from components.data.sources.datafile import DataFile, RawRow, Unreadable

PAGE_BREAK = "\n\n"


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Whether a value is a list of values, which a text is not."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


class Row(NamedTuple):
    """A row: its key, its file and number there, and its values. All methods raise `BadData` with the place."""

    key: str
    file: str
    number: int
    values: RawRow | Unreadable

    @property
    def place(self) -> str:
        """The beginning of error lines."""
        return f"{self.file}, row {self.number}"

    @property
    def reason(self) -> str:
        """Why it cannot be read, "" when it can."""
        return self.values.reason if isinstance(self.values, Unreadable) else ""

    def value(self, column: str) -> object:
        """The value of a column."""
        if isinstance(self.values, Unreadable):
            raise BadData(f"{self.place}: {self.values.reason}")
        found = self.values[column] if column in self.values else self._nested(self.values, column)
        if isinstance(found, Unreadable):
            raise BadData(f"{self.place}: `{column}` is {found.reason}")
        return found

    def _nested(self, values: RawRow, column: str) -> object:
        found: object = values
        for part in column.split("."):
            found = self._inside(found, part, column)
        return found

    def items(self, column: str) -> Sequence[object]:
        """The members of a column that holds a list."""
        value = self.value(column)
        if not is_list(value):
            raise BadData(f"{self.place}: `{column}` is not a list but {type(value).__name__}")
        return value

    def text(self, column: str) -> str | None:
        """The text of a column, None when it has none."""
        return self._text(self.value(column), column)

    def optional_text(self, column: str) -> str:
        """The text of a column, "" where the row has no such column or no text in it."""
        there = not isinstance(self.values, Unreadable) and {column, column.split(".")[0]} & set(self.values)
        return (self.text(column) if there else None) or ""

    def pages(self, column: str) -> str | None:
        """The text of a column, or the texts of its list in their order, with an empty line between two."""
        value = self.value(column)
        if not is_list(value):
            return self._text(value, column)
        return PAGE_BREAK.join(filter(None, (self._text(page, column) for page in value)))

    def label(self, column: str, names: Mapping[str, str]) -> str | None:
        """A text, number or truth value as text, of a list the first, by its name where there are names."""
        value = self.value(column)
        return self._label(next(iter(value), None) if is_list(value) else value, column, names)

    def labels(self, column: str, names: Mapping[str, str]) -> list[str]:
        """The same for each member of a column that holds a list; "" for none."""
        return [self._label(value, column, names) or "" for value in self.items(column)]

    def _label(self, value: object, column: str, names: Mapping[str, str]) -> str | None:
        label = self._written(value, column)
        if label is None or not names:
            return label
        if label not in names:
            known = ", ".join(map(repr, names))
            raise BadData(f"{self.place}: `{column}` is {label!r}, which `labels` does not name; it names {known}")
        return names[label]

    def _written(self, value: object, column: str) -> str | None:
        """A value as it is written in JSON, a whole number without its point; None for none and for not a number."""
        match value:
            case None:
                return None
            case str():
                return value.strip()
            case Unreadable():
                raise BadData(f"{self.place}: `{column}` is {value.reason}")
            case bool():
                return str(value).lower()
            case int():
                return str(value)
            case float() if math.isnan(value):
                return None
            case float():
                return str(int(value)) if value.is_integer() else str(value)
        raise BadData(f"{self.place}: `{column}` is not text, a number or a truth value but {type(value).__name__}")

    def _text(self, value: object, column: str) -> str | None:
        if isinstance(value, bytes):
            return self._decoded(value, column)
        if value is None or isinstance(value, str):
            return value
        raise BadData(f"{self.place}: `{column}` is not text but {type(value).__name__}")

    def _decoded(self, value: bytes, column: str) -> str:
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise BadData(
                f"{self.place}: `{column}` has bytes that are not UTF-8: {error.reason} at byte {error.start}"
            ) from None

    def _inside(self, value: object, part: str, column: str) -> object:
        if is_list(value):
            return [self._inside(member, part, column) for member in value]
        if isinstance(value, Mapping) and part in value:
            return value[part]
        there = () if isinstance(self.values, Unreadable) else self.values
        raise BadData(f"{self.place}: no column `{column}`; there are {', '.join(map(str, there))}")


def numbered_rows(key: str, file: DataFile, notes: dict[str, list[str]]) -> Iterator[Row]:
    """The rows of a file, whose name in keys is given; what is to be told of it is added to `notes`, by what it is."""
    told = replace(file, note=lambda note: notes[note].append(file.shown))
    number = 0
    for number, values in readers.read(told):
        yield Row(f"{key}:{number}", file.shown, number, values)
    if not number:
        notes["no row in it"].append(file.shown)


def tell(notes: Mapping[str, Sequence[str]], source: str) -> None:
    """Print each note once, with the first of the files that it is about."""
    for note, names in notes.items():
        more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
        print(f"{source}: {names[0]}{more}: {note}", flush=True)
