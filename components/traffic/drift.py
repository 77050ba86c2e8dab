"""How far what users ask, and what they are answered, has drifted from the test set of the version that answers.

Each dimension sorts the texts, or their words, into buckets; its figure is the population stability index of the shares
of the buckets (`components.data.drift`). With few texts that index is large by chance alone: how large tells a
permutation test, which mixes both sets of texts and divides them anew. A dimension has drifted when its index is beyond
the threshold and beyond all but one in a hundred of those.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from components.data import drift
from components.data.cleaning.language import identify

LEAST = 100  # texts on either side, below which nothing is said
WORDS = 200  # that have buckets of their own
PERMUTATIONS = 200
BEYOND = 0.99  # of them
OTHER = "other words"

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")

Buckets = Counter[str]
"""The buckets of one text: how many of its words, or the text itself, belong to each."""


@dataclass(frozen=True)
class Drift:
    """One dimension: its index, the index that chance alone reaches, and whether it has drifted."""

    texts: str  # inputs or outputs
    dimension: str
    index: float
    chance: float
    most_moved: str  # the bucket that contributes most
    before: float  # its share
    now: float
    drifted: bool


def inputs(before: Sequence[str], now: Sequence[str], known: Callable[[str], bool], threshold: float) -> list[Drift]:
    """The drift of prompts; `known` tells whether a word is in the vocabulary."""
    dimensions = {**_of_texts([*before, *now]), "vocabulary": _vocabulary([*before, *now], known)}
    return [_judge("inputs", name, found, len(before), threshold) for name, found in dimensions.items()]


def outputs(before: Sequence[str], now: Sequence[str], labels: Collection[str], threshold: float) -> list[Drift]:
    """The drift of answers; those that are one of the labels also by label."""
    dimensions = _of_texts([*before, *now])
    found = [_judge("outputs", name, buckets, len(before), threshold) for name, buckets in dimensions.items()]
    labelled = [[text for text in texts if text in labels] for texts in (before, now)]
    if min(map(len, labelled)) >= LEAST:
        buckets = [Buckets([text]) for texts in labelled for text in texts]
        found.append(_judge("outputs", "label", buckets, len(labelled[0]), threshold))
    return found


def _of_texts(texts: Sequence[str]) -> dict[str, list[Buckets]]:
    return {
        "length": [Buckets([_length(len(text))]) for text in texts],
        "language": [Buckets([identify(text).language]) for text in texts],
        "words": _words(texts),
    }


def _length(characters: int) -> str:
    """The bucket of a length, each twice as wide as the one before."""
    limit = 16
    while characters >= limit:
        limit *= 2
    return f"below {limit}"


def _words(texts: Sequence[str]) -> list[Buckets]:
    """The words of each text; those that are not among the most frequent of all texts count as one."""
    found = [Counter(words(text.casefold())) for text in texts]
    total = Counter[str]()
    for counts in found:
        total.update(counts)
    # Of equally frequent words the first in the alphabet, so that it does not matter which text is whose.
    frequent = set(sorted(total, key=lambda word: (-total[word], word))[:WORDS])
    buckets = []
    for counts in found:
        kept = Buckets({word: count for word, count in counts.items() if word in frequent})
        kept[OTHER] = counts.total() - kept.total()
        buckets.append(kept)
    return buckets


def _vocabulary(texts: Sequence[str], known: Callable[[str], bool]) -> list[Buckets]:
    """How many words of each text are in the vocabulary, and how many are not."""
    found = [Counter(words(text)) for text in texts]
    outside = {word for word in {word for counts in found for word in counts} if not known(word)}
    return [
        Buckets({"outside": (out := sum(counts[word] for word in counts.keys() & outside)), "in": counts.total() - out})
        for counts in found
    ]


def words(text: str) -> Iterable[str]:
    """The words of a text; of Chinese, Japanese and Korean the characters."""
    return _WORD.findall(text)


def _judge(texts: str, dimension: str, found: Sequence[Buckets], count: int, threshold: float) -> Drift:
    """The drift between the first `count` texts and the others."""
    names = sorted({name for buckets in found for name in buckets})
    places = {name: place for place, name in enumerate(names)}
    matrix = np.zeros((len(found), len(names)), dtype=np.int64)
    for row, buckets in enumerate(found):
        for name, number in buckets.items():
            matrix[row, places[name]] = number
    index = _index(names, matrix[:count].sum(0), matrix[count:].sum(0))
    chance = _by_chance(names, matrix, count)
    before, now = (part.sum(0) / max(part.sum(), 1) for part in (matrix[:count], matrix[count:]))
    most = int(np.argmax(np.abs(now - before))) if names else 0
    shares = (names[most], float(before[most]), float(now[most])) if names else ("", 0.0, 0.0)
    return Drift(texts, dimension, index, chance, *shares, drifted=index > threshold and index > chance)


def _by_chance(names: Sequence[str], matrix: np.ndarray, count: int) -> float:
    """The index that texts of the same kind stay below in 99 of 100 cases."""
    order, total, found = random.Random(0), matrix.sum(0), []
    for _ in range(PERMUTATIONS):
        before = matrix[order.sample(range(len(matrix)), count)].sum(0)
        found.append(_index(names, before, total - before))
    return float(np.quantile(found, BEYOND))


def _index(names: Sequence[str], before: np.ndarray, now: np.ndarray) -> float:
    counts = (dict(zip(names, side.tolist(), strict=True)) for side in (before, now))
    return drift.index(*counts)
