"""Entities as an answer, one line `LABEL: surface` each, and their F1.

F1 over a corpus is 2 * right / (predicted + wanted), with sums over all examples (micro): the mean of the examples' own
F1, weighted by predicted + wanted. So its interval is that of a weighted mean, and seqeval's own score is the same.
"""

import re
from collections import Counter
from collections.abc import Iterable

NONE = "-"  # the answer where there is no entity

Entity = tuple[str, str, int]  # label, surface, and how many with both came before


def read(answer: str) -> list[Entity]:
    """The entities of an answer, in its order; what is no line `LABEL: surface` counts as an entity without a label."""
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for line in answer.splitlines():
        if not line.strip() or line.strip() == NONE:
            continue
        label, colon, surface = line.partition(":")
        pair = (label.strip(), surface.strip()) if colon else ("", line.strip())
        found.append((*pair, seen[pair]))
        seen[pair] += 1
    return found


def written(entities: Iterable[tuple[str, str]]) -> str:
    """The answer that names entities, each by label and surface."""
    return "\n".join(f"{label}: {surface}" for label, surface in entities) or NONE


def as_in(text: str, surface: str) -> str:
    """A surface as the text has it: a tokenizer may have changed its case, or the spaces beside punctuation.

    A surface that the text does not have stays as it is.
    """
    pattern = r"\s*".join(re.escape(character) for character in surface if not character.isspace())
    found = re.search(pattern, text, re.IGNORECASE)
    return found.group() if found else surface


def f1(prediction: str, target: str) -> float:
    """F1 of the entities of one answer; 1 when there are none and none is named."""
    predicted, wanted = set(read(prediction)), set(read(target))
    return 2 * len(predicted & wanted) / (len(predicted) + len(wanted)) if predicted or wanted else 1.0


def count(prediction: str, target: str) -> float:
    """The weight of an example: the entities that are named, and those that are wanted."""
    return float(len(read(prediction)) + len(read(target)))
