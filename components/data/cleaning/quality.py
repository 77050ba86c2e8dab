"""Rules that drop a document, each with its name and the value that it measured."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from components.core.language_tag import primary
from components.data.cleaning.lines import DROPS
from components.data.cleaning.measures import MEASURES
from components.data.cleaning.text import Text
from components.data.settings import OTHER, WITHOUT_SPACES, DocumentLimits, QualityRules, counts_words

_SYMBOL = re.compile(r"[^\w\s]")
_NO_SYMBOLS = bytes(code for code in range(128) if not _SYMBOL.match(chr(code)))  # among those of ASCII
UNREADABLE = "\ufffd"  # what decoders substitute for bytes that they cannot decode


class Broken(NamedTuple):
    """The rule that drops a row, and what it measured; None where that is no number."""

    rule: str
    value: float | None


class LanguageRules(NamedTuple):
    """The rules for a language by name, with their settings: those that drop lines, and those that drop documents."""

    lines: Mapping[str, Any]
    documents: Mapping[str, float]


class Rules:
    """The rules of all languages."""

    def __init__(self, quality: Mapping[str, QualityRules] | None) -> None:
        self._quality = quality or {}
        self._known: dict[str, LanguageRules] = {}

    def of(self, tag: str) -> LanguageRules:
        """The rules for a language: its own, or those for others that make sense for it."""
        if tag not in self._known:
            language = primary(tag)
            own = self._quality.get(tag) or self._quality.get(language)
            rules = own or self._quality.get(OTHER) or QualityRules()
            chosen = {
                name: setting
                for name, setting in rules.on.items()
                if language not in WITHOUT_SPACES or not counts_words(name)
            }
            lines = {name: setting for name, setting in chosen.items() if name in DROPS}
            documents = {name: setting for name, setting in chosen.items() if name in MEASURES}
            self._known[tag] = LanguageRules(lines, documents)
        return self._known[tag]


def broken_rule(text: str, rules: Mapping[str, float]) -> Broken | None:
    """The first rule that the text breaks, or None. A rule's name says whether its setting is the least or the most."""
    seen = Text(text)
    for name, bound in rules.items():
        value = MEASURES[name](seen)
        if value < bound if "_min_" in name else value > bound:
            return Broken(name, value)
    return None


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
    found = text.encode().translate(None, _NO_SYMBOLS) if text.isascii() else _SYMBOL.findall(text)
    return len(found) / len(text)


def unreadable(text: str) -> float:
    """The share of characters that stand for bytes which could not be decoded."""
    return text.count(UNREADABLE) / len(text)


def repeated_lines(text: str) -> float:
    """The share of lines that repeat an earlier one: menus, boilerplate, broken extraction."""
    lines = [line for line in text.split("\n") if line.strip()]
    return 1 - len(set(lines)) / len(lines)
