"""Texts as sequences of hashed tokens, the same for copies that were re-wrapped, re-cased or re-typed.

A token is a word or, of a script that is written without spaces, a character; each mark of punctuation is a token too,
which shingles and n-grams leave out. All texts of a batch are hashed at once, in arrays: some ten times as fast as a
loop over words.
"""

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]

_SPACE, _WORD, _CHARACTER, _MARK = range(4)  # kinds of characters
_CHARACTERS = 0x110000  # code points there are
_WITHOUT_SPACES = (  # blocks of scripts that are written without spaces between words
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic iteration mark and zero
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Chinese characters
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_SAME = {"'": "‘’‚‛`´′", '"': "“”„‟«»″", "-": "‐‑‒–—―−"}  # marks that editors put for one another
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_BATCH = 1_000_000  # characters that are hashed at once


class Tokens(NamedTuple):
    """The hashed tokens of texts, one behind the other: those of text `i` are at `starts[i]` to `starts[i + 1]`."""

    hashes: Hashes
    starts: Indices

    def of(self, text: int) -> Hashes:
        return self.hashes[self.starts[text] : self.starts[text + 1]]


class Read(NamedTuple):
    """Texts read as tokens."""

    everything: Tokens  # words, characters and marks of punctuation
    words: Tokens  # words and characters


def batches(texts: Sequence[str]) -> list[slice]:
    """Stretches of the texts that `read` takes at once, each of one text or of at most a million characters."""
    found, start, size = [], 0, 0
    for number, text in enumerate(texts):
        if size + len(text) > _BATCH and number > start:
            found.append(slice(start, number))
            start, size = number, 0
        size += len(text)
    return [*found, slice(start, len(texts))] if len(texts) else []


def read(texts: Sequence[str]) -> Read:
    """The tokens of texts."""
    folded = [_fold(text) for text in texts]
    ends = np.cumsum([len(text) + 1 for text in folded], dtype=np.int64)
    points = np.frombuffer("\n".join([*folded, ""]).encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds, same = _tables()
    kind = kinds[points]
    # A token begins where a word does, and at every character or mark; it ends before the next character of another.
    before = np.concatenate([[_SPACE], kind[:-1]])
    first = np.flatnonzero((kind != _SPACE) & ((kind != _WORD) | (before != _WORD)))
    after = np.concatenate([kind[1:], [_SPACE]])
    last = np.flatnonzero((kind != _SPACE) & ((kind != _WORD) | (after != _WORD)))
    hashes = spans(same[points].astype(np.uint64), first, last + 1)
    starts = np.concatenate([[0], np.searchsorted(first, ends)])
    is_word = kind[first] != _MARK
    words = np.concatenate([[0], np.cumsum(is_word)])[starts]
    return Read(Tokens(hashes, starts), Tokens(hashes[is_word], words))


def spans(values: Hashes, starts: Indices, ends: Indices) -> Hashes:
    """A hash of each stretch `values[start:end]`: a polynomial modulo 2**64, mixed. Linear, whatever their lengths."""
    powers, inverses = _powers(1 << len(values).bit_length())
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values * powers[: len(values)])])
    return mixed((sums[ends] - sums[starts]) * inverses[starts])


def mixed(values: Hashes) -> Hashes:
    """Each number spread over all 64 bits, one to one (the end of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def windows(tokens: Tokens, length: int) -> Tokens:
    """The hashes of all stretches of `length` tokens of each text; none of a shorter text."""
    found, starts = places(tokens, length)
    return Tokens(spans(tokens.hashes, found, found + length), starts)


def places(tokens: Tokens, length: int) -> tuple[Indices, Indices]:
    """Where the stretches of `length` tokens of each text begin, and which of them are the first ones of the texts."""
    counts = np.maximum(np.diff(tokens.starts) - length + 1, 0)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return np.arange(starts[-1]) + np.repeat(tokens.starts[:-1] - starts[:-1], counts), starts


def _fold(text: str) -> str:
    """The text in Unicode's compatibility form, without case."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


@cache
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Of each code point its kind, and the one that stands for it."""
    categories = "".join(unicodedata.category(chr(point))[0] for point in range(_CHARACTERS))
    kinds = np.full(_CHARACTERS, _MARK, np.uint8)
    of_point = np.frombuffer(categories.encode(), np.uint8)
    kinds[np.isin(of_point, list(b"LNM"))] = _WORD
    kinds[np.isin(of_point, list(b"ZC"))] = _SPACE
    for low, high in _WITHOUT_SPACES:
        kinds[low : high + 1][kinds[low : high + 1] == _WORD] = _CHARACTER
    same = np.arange(_CHARACTERS, dtype=np.uint32)
    for mark, others in _SAME.items():
        same[[ord(other) for other in others]] = ord(mark)
    return kinds, same


@cache
def _powers(count: int) -> tuple[Hashes, Hashes]:
    """The powers of the base modulo 2**64, and their inverses."""
    return _powers_of(_BASE, count), _powers_of(pow(_BASE, -1, 2**64), count)


def _powers_of(base: int, count: int) -> Hashes:
    factors = np.full(count, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)
