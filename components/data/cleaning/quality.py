"""Rules of quality: what drops a line of a document, and what drops the whole, with the value that it measured.

Lines leave that C4 drops, and those that stand in many documents of a source: headers, footers, menus, licences. Those
leave every document that has them; the number of documents decides, so the order of rows does not matter.
docs/decisions.md, "Boilerplate is lines, counted on disk"
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.core.language_tag import primary
from components.data.cleaning.measures import MEASURES, Text
from components.data.cleaning.normalise import normalise
from components.data.settings import (
    OTHER,
    WITHOUT_SPACES,
    BoilerplateLimits,
    DocumentLimits,
    QualityRules,
    counts_words,
)

BOILERPLATE = "boilerplate lines"
POLICIES = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
ENDS = (".", "?", "!", '"', "'", "”", "’", "。", "？", "！")  # C4's, and what typographers put for them

DROPS: dict[str, Callable[[str, Any], bool]] = {  # whether a rule with its setting drops a line
    "c4_max_word_length_in_line": lambda line, most: len(line) > most and max(map(len, line.split())) > most,
    "c4_drop_lines_without_end": lambda line, on: on and (not line.endswith(ENDS) or line.endswith("...")),
    "c4_min_words_in_line": lambda line, least: len(line.split()) < least,
    "c4_drop_javascript_lines": lambda line, on: on and "javascript" in line.lower(),
    "c4_drop_policy_lines": lambda line, on: on and any(map(line.lower().__contains__, POLICIES)),
}
_FILES = 16  # that the counts are divided into, of which one is in memory at once
_COUNT = np.dtype([("line", np.uint64), ("documents", np.uint32)])
_SYMBOL = re.compile(r"[^\w\s]")
_NO_SYMBOLS = bytes(code for code in range(128) if not _SYMBOL.match(chr(code)))  # among those of ASCII
UNREADABLE = "\ufffd"  # what decoders substitute for bytes that they cannot decode


class Boilerplate:
    """The lines of each source that are boilerplate."""

    def __init__(self, lines: frozenset[int], min_characters: int) -> None:
        self._lines = lines
        self._min_characters = min_characters

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:
        return f"{sorted(self._lines)} of {self._min_characters}"

    def among(self, counts: NDArray[Any]) -> "Boilerplate":
        """That of it which stands among the lines of some documents, as `count_lines` returns them."""
        return Boilerplate(self._lines.intersection(counts["line"].tolist()), self._min_characters)

    def has(self, line: str, source: str) -> bool:
        return len(line) >= self._min_characters and _digest(line, source) in self._lines


class LineCounts:
    """In how many documents each line of a source stands, kept in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @staticmethod
    def read(path: Path) -> NDArray[Any]:
        """The counts of a batch in a file."""
        return np.fromfile(path, _COUNT)

    def add(self, counts: NDArray[Any]) -> None:
        """Add the counts of a batch, as `count_lines` returns them."""
        for number in range(_FILES):
            with (self._folder / str(number)).open("ab") as file:
                counts[counts["line"] % _FILES == number].tofile(file)

    def boilerplate(self, limits: BoilerplateLimits) -> Boilerplate:
        found = set[int]()
        for path in self._folder.iterdir():
            counts = np.fromfile(path, _COUNT)
            lines, places = np.unique(counts["line"], return_inverse=True)
            documents = np.bincount(places, counts["documents"])
            found.update(lines[documents >= limits.min_documents].tolist())
        return Boilerplate(frozenset(found), limits.min_characters)


def count_lines(documents: Iterable[tuple[str, str]], min_characters: int) -> NDArray[Any]:
    """The lines of a batch of documents (source, text) that are long enough, and in how many documents they stand."""
    found = [
        line
        for source, text in documents
        for line in {_digest(line, source) for line in text.split("\n") if len(line) >= min_characters}
    ]
    counts = np.unique(np.array(found, np.uint64), return_counts=True)
    return np.rec.fromarrays(counts, dtype=_COUNT)


def _digest(line: str, source: str) -> int:
    """A hash of a line of a source, the same for those that differ in white space."""
    return int.from_bytes(blake2b(f"{source}\n{' '.join(line.split())}".encode(), digest_size=8).digest())


class Shortened(NamedTuple):
    """A text without the lines that left it, and how many did for what."""

    text: str
    dropped: Mapping[str, int]


def shortened(text: str, source: str, rules: Mapping[str, Any], boilerplate: Boilerplate | None) -> Shortened:
    """The text without the lines that a rule drops or that are boilerplate of its source."""
    if not rules and not boilerplate:
        return Shortened(text, {})
    dropped = Counter[str]()
    kept = []
    for line in text.split("\n"):
        rule = _rule(line, source, rules, boilerplate)
        if rule:
            dropped[rule] += 1
        else:
            kept.append(line)
    return Shortened(normalise("\n".join(kept)) if dropped else text, dropped)


def _rule(line: str, source: str, rules: Mapping[str, Any], boilerplate: Boilerplate | None) -> str | None:
    """What drops a line, None for nothing. Blank lines stand between paragraphs and are not asked about."""
    if not line or line.isspace():
        return None
    if boilerplate and boilerplate.has(line, source):
        return BOILERPLATE
    return next((name for name, setting in rules.items() if DROPS[name](line, setting)), None)


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
