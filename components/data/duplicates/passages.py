"""Texts of benchmarks that stand inside of other texts, found by n-grams of their tokens.

White space, line breaks, case and punctuation do not hide a copy, nor does what stands before and after it. As with
GPT-3 (Brown et al. 2020, appendix C) n-grams have 13 words, or 8 to 12 where the whole text is that short; what is
shorter is everywhere and is not looked for.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from components.data.duplicates import tokens
from components.data.duplicates.tokens import Hashes, Indices, Tokens

LEAST_WORDS = 8
WORDS = 13
COMMON = 64  # texts of benchmarks that have an n-gram, beyond which it is a phrase that tells none of them
_FILTER = 22  # bits of a hash that the first look-up reads
_HALF = np.uint64(32)  # bits of a hash

Beginnings = NDArray[np.uint32]


class Overlaps(NamedTuple):
    """The item that a text has the most of: its number, -1 for none, and the share of its n-grams."""

    item: Indices
    share: NDArray[np.float64]


class Passages:
    """An index of the n-grams of items."""

    def __init__(self, grams: Hashes, items: Indices, lengths: Indices, begins: Beginnings, totals: Indices) -> None:
        self.grams = grams  # [n-grams], sorted, once for each item that has it
        self.items = items  # [n-grams] the item
        self.lengths = lengths  # [n-grams] the number of words
        self.begins = begins  # [n-grams] the hash of the first `LEAST_WORDS` words
        self.totals = totals  # [items] the number of its n-grams
        self._likely = _Filter(_high(grams))

    @classmethod
    def of(cls, items: Sequence[str]) -> "Passages":
        """The index of the texts of items."""
        found = [np.zeros((4, 0), np.uint64)]
        for part in tokens.batches(items):
            words = tokens.read(items[part]).words
            sizes = np.minimum(np.diff(words.starts), WORDS)
            for length in range(LEAST_WORDS, WORDS + 1):
                places, of = _places(words, length, np.flatnonzero(sizes == length))
                grams = [tokens.spans(words.hashes, places, places + size) for size in (length, LEAST_WORDS)]
                of = (of + part.start).astype(np.uint64)
                found.append(np.stack([grams[0], of, np.full(len(of), length, np.uint64), grams[1] >> _HALF]))
        pairs = np.unique(np.concatenate(found, 1), axis=1)
        _, inverse, counts = np.unique(pairs[0], return_inverse=True, return_counts=True)
        grams, of_item, lengths, begins = pairs[:, counts[inverse] <= COMMON]
        of_item = of_item.astype(np.int64)
        totals = np.bincount(of_item, minlength=len(items))
        return cls(grams, of_item, lengths.astype(np.int64), begins.astype(np.uint32), totals)

    def only(self, items: Indices) -> "Passages":
        """The index of some items, ascending, which are numbered anew."""
        number = np.full(len(self.totals), -1)
        number[items] = np.arange(len(items))
        chosen = number[self.items] >= 0
        of_item = number[self.items[chosen]]
        return Passages(self.grams[chosen], of_item, self.lengths[chosen], self.begins[chosen], self.totals[items])

    def __repr__(self) -> str:
        """All that what is found follows from."""
        return f"{self.grams.tobytes().hex()} {self.items.tolist()} {self.totals.tolist()}"

    def candidates(self, begins: Beginnings, least: float) -> Indices:
        """The items of which a text with a share of the n-grams may be among those whose `beginnings` are given."""
        hits = begins[self._begin_filter.passes((begins >> np.uint32(32 - _FILTER)).astype(np.int64))]
        distinct, of_gram = self._distinct_begins
        places = np.searchsorted(distinct, hits)
        places = places[distinct[np.minimum(places, len(distinct) - 1)] == hits]
        is_there = np.zeros(len(distinct), np.bool_)
        is_there[places] = True
        counts = np.bincount(self.items[is_there[of_gram]], minlength=len(self.totals))
        return np.flatnonzero((counts >= least * self.totals) & (self.totals > 0))

    @cached_property
    def _distinct_begins(self) -> tuple[Beginnings, Indices]:
        distinct, of_gram = np.unique(self.begins, return_inverse=True)
        return distinct, of_gram

    @cached_property
    def _begin_filter(self) -> "_Filter":
        return _Filter((self.begins >> np.uint32(32 - _FILTER)).astype(np.int64))

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
        hits = [self._hits(*_grams(words, length, everyone)) for length in np.unique(self.lengths).tolist()]
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
        likely = self._likely.passes(_high(grams))
        grams, of = grams[likely], of[likely]
        first = np.searchsorted(self.grams, grams)
        counts = np.searchsorted(self.grams, grams, "right") - first
        steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.stack([np.repeat(of, counts), np.repeat(first, counts) + steps], 1)


class _Filter:
    """Numbers below 2 ** `_FILTER`: whether others are among them is looked up at once."""

    def __init__(self, numbers: Indices) -> None:
        self._has = np.zeros(1 << _FILTER, np.bool_)
        self._has[numbers] = True

    def passes(self, numbers: Indices) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self._has[numbers]
        return found


def beginnings(texts: Sequence[str]) -> Beginnings:
    """The hashes of all stretches of `LEAST_WORDS` words in texts, sorted and distinct: with one an n-gram begins."""
    parts = [tokens.windows(tokens.read(texts[part]).words, LEAST_WORDS).hashes for part in tokens.batches(texts)]
    found = np.sort((np.concatenate([np.zeros(0, np.uint64), *parts]) >> _HALF).astype(np.uint32))
    return found[np.r_[True, found[1:] != found[:-1]]] if len(found) else found


def _grams(words: Tokens, length: int, texts: Indices) -> tuple[Hashes, Indices]:
    """The n-grams of some of the texts, and the text of each."""
    places, of = _places(words, length, texts)
    return tokens.spans(words.hashes, places, places + length), of


def _places(words: Tokens, length: int, texts: Indices) -> tuple[Indices, Indices]:
    """Where the n-grams of some of the texts begin, and the text of each."""
    places, starts = tokens.places(words, length)
    of = np.repeat(np.arange(len(words.starts) - 1), np.diff(starts))
    chosen = np.isin(of, texts) if len(texts) < len(words.starts) - 1 else np.ones(len(of), np.bool_)
    return places[chosen], of[chosen]


def _high(grams: Hashes) -> Indices:
    return (grams >> np.uint64(64 - _FILTER)).astype(np.int64)
