"""The template of a prompt: fields in braces, and in brackets the parts that vanish when a field in them is empty.

`{instruction}[\\n{input}]` makes one line of an instruction alone, and two of an instruction with an input. A brace or
bracket that is match as such is doubled: `{{`, `[[`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Formatter

_BRACKETS = re.compile(r"(\[\[|\]\]|\[|\])")


@dataclass(frozen=True)
class TemplatePart:
    """A part of a template, as pairs of words and the field behind them; the last may have no field."""

    pieces: tuple[tuple[str, str | None], ...]
    optional: bool

    @property
    def fields(self) -> list[str]:
        """The fields in the order of their appearance."""
        return [field for _, field in self.pieces if field is not None]

    def render(self, inputs: Mapping[str, str]) -> str:
        """The words with the inputs in place of the fields; nothing of an optional part with an empty field."""
        if self.optional and not all(inputs.get(field) for field in self.fields):
            return ""
        return "".join(words + (inputs[field] if field is not None else "") for words, field in self.pieces)

    def pattern(self, long_field: str) -> str:
        """A regular expression for what `render` makes, with a group for each field."""
        least = "+" if self.optional else "*"
        found = ""
        for words, field in self.pieces:
            found += re.escape(words)
            if field == long_field:  # the least of it, so that optional parts behind it are found
                found += f"(?P<{field}>(?s:.){least}?)"
            elif field is not None:  # a part of a single line, so that the end of the long field is unambiguous
                found += rf"(?P<{field}>[^\n]{least})"
        return f"(?:{found})?" if self.optional else found


@dataclass(frozen=True)
class Template:
    """A template that was read."""

    parts: tuple[TemplatePart, ...]

    @classmethod
    def parse(cls, text: str) -> "Template":
        """Read a template. Raises `ValueError` that says what is wrong with it."""
        return cls(tuple(_parts(text)))

    @property
    def fields(self) -> list[str]:
        """The fields in the order of their appearance."""
        return [field for part in self.parts for field in part.fields]

    @property
    def needed(self) -> list[str]:
        """The fields that may not be empty."""
        return [field for part in self.parts if not part.optional for field in part.fields]

    @property
    def words(self) -> int:
        """The characters of its own words that are in every prompt."""
        return sum(len(words) for part in self.parts if not part.optional for words, _ in part.pieces)

    def render(self, inputs: Mapping[str, str]) -> str:
        """The prompt. Raises `KeyError` with a field that has to be there and is not."""
        return "".join(part.render(inputs) for part in self.parts)

    def pattern(self, long_field: str) -> re.Pattern[str]:
        """A regular expression for all prompts of the template."""
        return re.compile("".join(part.pattern(long_field) for part in self.parts))


def _parts(text: str) -> Iterator[TemplatePart]:
    within, read = False, ""
    for piece in _BRACKETS.split(text):
        if piece not in ("[", "]"):
            read += piece[0] if piece in ("[[", "]]") else piece
            continue
        if within == (piece == "["):
            raise ValueError(f"has a `{piece}` that is neither doubled nor the end of an optional part")
        yield _part(read, within)
        within, read = piece == "[", ""
    if within:
        raise ValueError("has a `[` that is neither closed nor doubled")
    yield _part(read, within)


def _part(text: str, optional: bool) -> TemplatePart:
    try:
        found = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"has a brace that is neither closed nor doubled: {error}") from None
    for _, field, form, conversion in found:
        if field is not None and (form or conversion or not field.isidentifier()):
            raise ValueError(f"names a field that is not a plain word: {{{field}}}")
    if optional and not any(field for _, field, _, _ in found):
        raise ValueError(f"has an optional part without a field: [{text}]")
    return TemplatePart(tuple((words, field) for words, field, _, _ in found), optional)
