"""What the rules of Gopher, C4 and FineWeb measure in a document. The names are those of `prepare.quality`.

Gopher: arXiv:2112.11446, appendix A.1. C4: arXiv:1910.10683, section 2.2. FineWeb: arXiv:2406.17557, section 3.6.
All take time linear in the text.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

STOP_WORDS = frozenset(["the", "be", "to", "of", "and", "that", "have", "with"])  # Gopher's, of English
BULLETS = ("•", "-")
ELLIPSES = ("...", "…")
ENDS = tuple(".!?…。！？．｡؟۔।॥։።၊။។៕᠃\"'”’»）」』")  # of sentences, with the quotation marks and brackets behind them
SHORT = 30  # characters of a line

_LETTER = re.compile(r"[^\W\d_]")
_SENTENCE_END = re.compile(r"[.!?…؟۔।](?=[\"'”’»)\]]*(?:\s|$))|[。！？]")


class Text:
    """The text of a document. Words are what stands between white space, with their punctuation."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = text.split()
        self.lines = [line for line in text.split("\n") if line and not line.isspace()]  # those that are not blank
        self._places: dict[int, list[int]] = {}

    @property
    def paragraphs(self) -> list[str]:
        """What stands between empty lines."""
        return [paragraph for paragraph in self.text.split("\n\n") if paragraph]

    def top_gram(self, length: int) -> int:
        """The characters of the most frequent n-gram, everywhere that it is; 0 when none repeats another."""
        counts = Counter(self._gram(place, length) for place in self._repeated(length))
        if not counts:
            return 0
        gram = max(counts, key=counts.__getitem__)  # the first of the most frequent ones
        return len(" ".join(gram)) * counts[gram]

    def repeated_grams(self, length: int) -> int:
        """The characters of the n-grams that repeat an earlier one; where those overlap, the first counts."""
        seen = set[tuple[str, ...]]()
        characters = done = 0
        for place in self._repeated(length):
            if place < done:
                continue
            gram = self._gram(place, length)
            if gram in seen:
                characters += sum(map(len, gram))
                done = place + length
            seen.add(gram)
        return characters

    def _repeated(self, length: int) -> list[int]:
        """The places of the n-grams, of two words or more, that occur more than once.

        They are among those where two shorter ones do: in most texts few, so that all n together take little longer
        than the pairs of words.
        """
        if length not in self._places:
            candidates = self._candidates(length)
            grams = [self._gram(place, length) for place in candidates] if length > 2 else [*pairwise(self.words)]
            counts = Counter(grams)
            places = [place for place, gram in zip(candidates, grams, strict=True) if counts[gram] > 1]
            self._places[length] = places
        return self._places[length]

    def _candidates(self, length: int) -> Sequence[int]:
        if length == 2:
            return range(max(0, len(self.words) - 1))
        shorter = self._repeated(length - 1)
        following = set(shorter)
        return [place for place in shorter if place + 1 in following]

    def _gram(self, place: int, length: int) -> tuple[str, ...]:
        return tuple(self.words[place : place + length])


Measure = Callable[[Text], float]


def share(number: float, of: float) -> float:
    return number / of if of else 0.0


def word_length(text: Text) -> float:
    return share(sum(map(len, text.words)), len(text.words))


def hashes(text: Text) -> float:
    return share(text.text.count("#"), len(text.words))


def ellipses(text: Text) -> float:
    return share(sum(map(text.text.count, ELLIPSES)), len(text.words))


def bullet_lines(text: Text) -> float:
    return share(sum(line.lstrip().startswith(BULLETS) for line in text.lines), len(text.lines))


def ellipsis_lines(text: Text) -> float:
    return share(sum(line.endswith(ELLIPSES) for line in text.lines), len(text.lines))


def alphabetic_words(text: Text) -> float:
    """The share of words with a letter."""
    others = [word for word in text.words if not word.isalpha()]
    return share(len(text.words) - sum(not _LETTER.search(word) for word in others), len(text.words))


def stop_words(text: Text) -> float:
    return len(STOP_WORDS.intersection(text.text.lower().split()))


def repeated(parts: Sequence[str]) -> float:
    """The share of the parts that repeat an earlier one."""
    return share(len(parts) - len(set(parts)), len(parts))


def repeated_characters(parts: Sequence[str], characters: int) -> float:
    """The share of the characters that stand in parts which repeat an earlier one."""
    distinct = set(parts)
    return share(sum(map(len, parts)) - sum(map(len, distinct)), characters) if len(distinct) < len(parts) else 0.0


def top_gram(text: Text, length: int) -> float:
    return share(text.top_gram(length), len(text.text))


def repeated_grams(text: Text, length: int) -> float:
    return share(text.repeated_grams(length), len(text.text))


def sentences(text: Text) -> float:
    return sum(1 for _ in _SENTENCE_END.finditer(text.text))


def punctuated_lines(text: Text) -> float:
    return share(sum(line.endswith(ENDS) for line in text.lines), len(text.lines))


def short_lines(text: Text) -> float:
    return share(sum(len(line) <= SHORT for line in text.lines), len(text.lines))


def line_breaks(text: Text) -> float:
    return share(text.text.count("\n"), len(text.words))


MEASURES: dict[str, Measure] = {
    "gopher_min_words": lambda text: len(text.words),
    "gopher_max_words": lambda text: len(text.words),
    "gopher_min_word_length": word_length,
    "gopher_max_word_length": word_length,
    "gopher_max_hashes": hashes,
    "gopher_max_ellipses": ellipses,
    "gopher_max_bullet_lines": bullet_lines,
    "gopher_max_ellipsis_lines": ellipsis_lines,
    "gopher_min_alphabetic_words": alphabetic_words,
    "gopher_min_stop_words": stop_words,
    "gopher_max_repeated_lines": lambda text: repeated(text.lines),
    "gopher_max_repeated_paragraphs": lambda text: repeated(text.paragraphs),
    "gopher_max_repeated_line_characters": lambda text: repeated_characters(text.lines, len(text.text)),
    "gopher_max_repeated_paragraph_characters": lambda text: repeated_characters(text.paragraphs, len(text.text)),
    **{f"gopher_max_top_{n}_gram": partial(top_gram, length=n) for n in range(2, 5)},
    **{f"gopher_max_repeated_{n}_grams": partial(repeated_grams, length=n) for n in range(5, 11)},
    "c4_min_sentences": sentences,
    "c4_max_lorem_ipsum": lambda text: text.text.lower().count("lorem ipsum"),
    "c4_max_curly_brackets": lambda text: text.text.count("{"),
    "fineweb_min_punctuated_lines": punctuated_lines,
    "fineweb_max_short_lines": short_lines,
    "fineweb_max_repeated_characters": lambda text: repeated_characters(text.lines, sum(map(len, text.lines))),
    "fineweb_max_line_breaks": line_breaks,
}
