"""Texts of benchmarks that stand inside of other texts, found by n-grams of their tokens.

White space, line breaks, case and punctuation do not hide a copy, nor does what stands before and after it. As with
GPT-3 (Brown et al. 2020, appendix C) n-grams have 13 words, or 8 to 12 where the whole text is that short; what is
shorter is everywhere and is not looked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.data.duplicates import tokens
from components.data.duplicates.tokens import Hashes, Indices, Tokens

LEAST_WORDS = 8
WORDS = 13
COMMON = 64  # texts of benchmarks that have an n-gram, beyond which it is a phrase that tells none of them
_FILTER = 22  # bits of a hash that the first look-up reads


class Overlaps(NamedTuple):
    """The item that a text has the most of: its number, -1 for none, and the share of its n-grams."""

    item: Indices
    share: NDArray[np.float64]


class Passages:
    """An index of the n-grams of items."""

    def __init__(self, grams: Hashes, items: Indices, lengths: Indices, totals: Indices) -> None:
        self.grams = grams  # [n-grams], sorted, once for each item that has it
        self.items = items  # [n-grams] the item
        self.lengths = lengths  # the lengths of n-grams that there are
        self.totals = totals  # [items] the number of its n-grams
        self._filter = np.zeros(1 << _FILTER, np.bool_)
        self._filter[_high(grams)] = True

    @classmethod
    def of(cls, items: Sequence[str]) -> "Passages":
        """The index of the texts of items."""
        found = [np.zeros((2, 0), np.uint64)]
        lengths: set[int] = set()
        for part in tokens.batches(items):
            words = tokens.read(items[part]).words
            sizes = np.minimum(np.diff(words.starts), WORDS)
            for length in range(LEAST_WORDS, WORDS + 1):
                texts = np.flatnonzero(sizes == length)
                if len(texts):
                    lengths.add(length)
                    grams, of = _grams(words, length, texts)
                    found.append(np.stack([grams, (of + part.start).astype(np.uint64)]))
        pairs = np.unique(np.concatenate(found, 1), axis=1)
        _, inverse, counts = np.unique(pairs[0], return_inverse=True, return_counts=True)
        grams, of_item = pairs[:, counts[inverse] <= COMMON]
        of_item = of_item.astype(np.int64)
        return cls(grams, of_item, np.array(sorted(lengths), np.int64), np.bincount(of_item, minlength=len(items)))

    def save(self, path: Path) -> None:
        np.savez(path, grams=self.grams, items=self.items, lengths=self.lengths, totals=self.totals)

    @classmethod
    def load(cls, path: Path) -> "Passages":
        with np.load(path) as arrays:
            return cls(**arrays)

    def find(self, texts: Sequence[str], least: float) -> Overlaps:
        """For each of some texts the item of which it has at least a share of the n-grams."""
        parts = [self._find(texts[part], least) for part in tokens.batches(texts)]
        return (
            Overlaps(*map(np.concatenate, zip(*parts, strict=True)))
            if parts
            else Overlaps(np.zeros(0, np.int64), np.zeros(0))
        )

    def _find(self, texts: Sequence[str], least: float) -> Overlaps:
        words = tokens.read(texts).words
        everyone = np.arange(len(texts))
        hits = [self._hits(*_grams(words, int(length), everyone)) for length in self.lengths]
        item, share = np.full(len(texts), -1), np.zeros(len(texts))
        if not hits:
            return Overlaps(item, share)
        pairs = np.unique(np.concatenate(hits), axis=0)  # (text, n-gram), each once
        both, counts = np.unique(np.stack([pairs[:, 0], self.items[pairs[:, 1]]], 1), axis=0, return_counts=True)
        shares = counts / self.totals[both[:, 1]]
        for row in np.lexsort((-both[:, 1], shares)):  # the largest share comes last, of equal ones the first item
            if shares[row] >= least:
                item[both[row, 0]], share[both[row, 0]] = both[row, 1], shares[row]
        return Overlaps(item, share)

    def _hits(self, grams: Hashes, of: Indices) -> Indices:
        """Pairs (text, place of its n-gram in the index)."""
        likely = self._filter[_high(grams)]
        grams, of = grams[likely], of[likely]
        first = np.searchsorted(self.grams, grams)
        counts = np.searchsorted(self.grams, grams, "right") - first
        steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.stack([np.repeat(of, counts), np.repeat(first, counts) + steps], 1)


def _grams(words: Tokens, length: int, texts: Indices) -> tuple[Hashes, Indices]:
    """The n-grams of some of the texts, and the text of each."""
    grams = tokens.windows(words, length)
    of = np.repeat(np.arange(len(words.starts) - 1), np.diff(grams.starts))
    chosen = np.isin(of, texts) if len(texts) < len(words.starts) - 1 else np.ones(len(of), np.bool_)
    return grams.hashes[chosen], of[chosen]


def _high(grams: Hashes) -> Indices:
    return (grams >> np.uint64(64 - _FILTER)).astype(np.int64)
