"""Rules that drop a document, each with its name and the value that it measured."""

import re
from collections.abc import Callable
from typing import NamedTuple

from components.data.settings import DocumentLimits

_SYMBOL = re.compile(r"[^\w\s]")
UNREADABLE = "\ufffd"  # what decoders substitute for bytes that they cannot decode


class Broken(NamedTuple):
    """The rule that drops a row, and what it measured; None where that is no number."""

    rule: str
    value: float | None


def broken(text: str, limits: DocumentLimits) -> Broken | None:
    """The first limit that the text breaks, or None."""
    if len(text) < limits.min_characters:
        return Broken("too short", len(text))
    measures: tuple[tuple[str, Callable[[str], float], float], ...] = (
        ("too many symbols", symbols, limits.max_symbols),
        ("unreadable characters", unreadable, limits.max_unreadable),
        ("repeated lines", repeated_lines, limits.max_repeated_lines),
    )
    return next((Broken(rule, value) for rule, measure, most in measures if (value := measure(text)) > most), None)


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
