"""Scores of one prediction against one target, each from 0 to 1, and how much an example counts."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from components.tasks import entities

CHRF_CHARACTERS = 6  # the longest n-gram
CHRF_BETA = 2  # recall counts twice as much as precision


@dataclass(frozen=True)
class Metric:
    """A score of a prediction and a target from 0 to 1, and its weight in the score of a task, a weighted mean."""

    score: Callable[[str, str], float]
    weight: Callable[[str, str], float]
    of_labels: bool = False  # whether it only says if a label is right


def same(prediction: str, target: str) -> float:
    """1 for the same label, else 0; its mean is the accuracy."""
    return float(prediction == target)


def exact_match(prediction: str, target: str) -> float:
    """1 when both read the same after SQuAD's normalisation (Rajpurkar et al. 2016), else 0."""
    return float(normalise(prediction) == normalise(target))


def normalise(text: str) -> str:
    """The text without case, articles, punctuation and doubled spaces.

    SQuAD takes the point out of 3.45 too, which makes it 345; here punctuation between digits stays.
    docs/decisions.md, "The answers to questions keep points between digits"
    """
    text = re.sub(r"(?<!\d)[^\w\s]|[^\w\s](?!\d)", " ", text.lower())
    return " ".join(word for word in text.split() if word not in ("a", "an", "the"))


def rouge_l(prediction: str, target: str) -> float:
    """F1 of the longest common subsequence of words (ROUGE-L, Lin 2004)."""
    predicted, wanted = (re.findall(r"\w+", text.lower()) for text in (prediction, target))
    common = _longest_common_subsequence(predicted, wanted)
    return 2 * common / (len(predicted) + len(wanted)) if common else 0.0


def chrf(prediction: str, target: str) -> float:
    """F2 of the character n-grams of up to 6 characters, white space left out (chrF2, Popović 2015 and 2016).

    Precision and recall are averaged over the lengths that both texts have, as in sacrebleu; its corpus score,
    though, is computed from sums over sentences, and ours is the mean.
    """
    predicted, wanted = ("".join(text.split()) for text in (prediction, target))
    lengths = range(1, min(len(predicted), len(wanted), CHRF_CHARACTERS) + 1)
    precision = recall = 0.0
    for n in lengths:
        ours, theirs = (Counter(text[i : i + n] for i in range(len(text) - n + 1)) for text in (predicted, wanted))
        common = (ours & theirs).total()
        precision += common / ours.total()
        recall += common / theirs.total()
    if not precision:
        return 0.0
    precision, recall = precision / len(lengths), recall / len(lengths)
    weight = CHRF_BETA**2
    return (1 + weight) * precision * recall / (weight * precision + recall)


def _longest_common_subsequence(a: list[str], b: list[str]) -> int:
    lengths = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for column, other in enumerate(b, start=1):
            above = lengths[column]
            lengths[column] = diagonal + 1 if word == other else max(above, lengths[column - 1])
            diagonal = above
    return lengths[-1]


def _alike(_prediction: str, _target: str) -> float:
    return 1.0


METRICS: dict[str, Metric] = {
    "accuracy": Metric(same, _alike, of_labels=True),
    "exact_match": Metric(exact_match, _alike),
    "rouge_l": Metric(rouge_l, _alike),
    "chrf": Metric(chrf, _alike),
    "entity_f1": Metric(entities.f1, entities.count),
}
"""The metrics by the names that `data/tasks.yaml` gives them."""
