"""Rules that drop a document, each with the reason that is stored with the dropped row."""

import re
from collections.abc import Iterator

from components.data.settings import DocumentLimits

_SYMBOL = re.compile(r"[^\w\s]")
UNREADABLE = "\ufffd"  # what decoders substitute for bytes that they cannot decode


def rejection(text: str, limits: DocumentLimits) -> str | None:
    """The reason to drop the text, or None."""
    return next(_reasons(text, limits), None)


def symbols(text: str) -> float:
    """The share of characters that are neither letters, digits nor white space: markup, tables, noise."""
    return len(_SYMBOL.findall(text)) / len(text)


def unreadable(text: str) -> float:
    """The share of characters that stand for bytes which could not be decoded."""
    return text.count(UNREADABLE) / len(text)


def repeated_lines(text: str) -> float:
    """The share of lines that repeat an earlier one: menus, boilerplate, broken extraction."""
    lines = [line for line in text.split("\n") if line.strip()]
    return 1 - len(set(lines)) / len(lines)


def _reasons(text: str, limits: DocumentLimits) -> Iterator[str]:
    if len(text) < limits.min_characters:
        yield "too short"
        return
    if symbols(text) > limits.max_symbols:
        yield "too many symbols"
    if unreadable(text) > limits.max_unreadable:
        yield "unreadable characters"
    if repeated_lines(text) > limits.max_repeated_lines:
        yield "repeated lines"
