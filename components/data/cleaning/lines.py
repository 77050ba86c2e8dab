"""Lines that leave a document: those that C4 drops, and those that stand in many documents of its source.

The latter are headers, footers, menus, licences. They leave every document that has them. The number of documents
decides, so the order of rows does not matter.
docs/decisions.md, "Boilerplate is lines, counted on disk"
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.data.cleaning.normalise import normalise
from components.data.settings import BoilerplateLimits

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
