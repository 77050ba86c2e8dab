"""Intervals: what a score would have been on other documents of the same kind."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

CELLS = 1_000_000  # drawn at once: bounds the memory at a few of such arrays, 8 bytes each


@dataclass(frozen=True)
class Interval:
    """A figure and the two ends of its interval."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    values: ArrayLike, weights: ArrayLike | None = None, *, resamples: int, seed: int, confidence: float
) -> Interval:
    """Percentile bootstrap of sum(values) / sum(weights), over rows drawn with replacement.

    Without weights it is the mean. With nats as values and bytes as weights it is nats per byte of the whole
    set, where long documents count more, and its interval takes in that documents differ.
    """
    values = np.asarray(values, dtype=np.float64)
    weights = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(values) or len(values) != len(weights):
        raise ValueError(f"{len(values)} values and {len(weights)} weights: need one weight for each, and some")
    ratios = _resampled_ratios(values, weights, resamples, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return Interval(float(values.sum() / weights.sum()), float(low), float(high))


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    resamples: int,
    seed: int,
    confidence: float,
) -> Interval:
    """The difference (sum(a) - sum(b)) / sum(weights) of two models on the same rows in the same order.

    Both are resampled together, so what makes a document hard for both cancels out.
    `a` is better by fewer nats beyond noise when `high` is below zero.
    """
    difference = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    return bootstrap_interval(difference, weights, resamples=resamples, seed=seed, confidence=confidence)


def wilson_interval(scores: ArrayLike, *, confidence: float) -> Interval:
    """The share of ones among zeros and ones; unlike the bootstrap it keeps its width when all are equal."""
    scores = np.asarray(scores, dtype=np.float64)
    successes = int(scores.sum())
    ends = binomtest(successes, len(scores)).proportion_ci(confidence, method="wilson")
    return Interval(successes / len(scores), float(ends.low), float(ends.high))


def _resampled_ratios(
    values: NDArray[np.float64], weights: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    rows = len(values)
    at_once = max(1, CELLS // rows)
    ratios = np.empty(resamples)
    for start in range(0, resamples, at_once):
        part = ratios[start : start + at_once]
        drawn = random.integers(rows, size=(len(part), rows))
        part[:] = values[drawn].sum(axis=1) / weights[drawn].sum(axis=1)
    return ratios
