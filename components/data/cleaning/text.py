"""A normalised text as rules look at it: lines, paragraphs, words and n-grams of words."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise


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
