"""Intervals: how much a score would vary on other documents of the same kind."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

CELLS = 1_000_000  # drawn at once: bounds the memory at a few of such arrays, 8 bytes each


@dataclass(frozen=True)
class Interval:
    """A value and the two ends of its interval."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    values: ArrayLike, weights: ArrayLike | None = None, *, resamples: int, seed: int, confidence: float
) -> Interval:
    """Percentile bootstrap of sum(values) / sum(weights), over rows drawn with replacement.

    Without weights it is the mean. With nats as values and bytes as weights it is nats per byte of the whole
    set, where long documents count more, and its interval includes the variation between documents.
    """
    values = np.asarray(values, dtype=np.float64)
    weights = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(values) or len(values) != len(weights):
        raise ValueError(f"{len(values)} values and {len(weights)} weights: need one weight for each, and some")
    ratios = _resampled_ratios(values, weights, resamples, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    total = weights.sum()
    return Interval(float(values.sum() / total) if total else 0.0, float(low), float(high))


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
    weights = np.ones_like(difference) if weights is None else np.asarray(weights, dtype=np.float64)
    low, high = paired_ends(difference[:, None], weights, resamples=resamples, seed=seed, confidence=confidence)
    return Interval(float(difference.sum() / weights.sum()), float(low[0]), float(high[0]))


def paired_ratios(
    a: tuple[ArrayLike, ArrayLike],
    b: tuple[ArrayLike, ArrayLike],
    groups: ArrayLike | None = None,
    *,
    resamples: int,
    seed: int,
    confidence: float,
) -> Interval:
    """The difference of sum(values) / sum(weights) of two models on the same rows, of whom each has its own weights.

    So is F1, whose weights count what a model predicted. With `groups`, a number for each row, it is the mean of the
    differences of the groups by their rows. Resampled as by `paired_ends`; without weight a ratio is 0.
    """
    sums = np.column_stack([np.asarray(column, dtype=np.float64) for column in (*a, *b)])
    groups = np.zeros(len(sums)) if groups is None else np.asarray(groups)
    tail = max(1, int((1 - confidence) / 2 * (resamples + 1)))
    differences = np.empty(resamples)
    for taken, part in _random_parts(len(sums), resamples, seed):
        differences[part] = _ratio_difference(taken, sums, groups)
    ordered = np.sort(differences)
    value = _ratio_difference(np.ones((1, len(sums))), sums, groups)
    return Interval(float(value[0]), float(ordered[tail - 1]), float(ordered[resamples - tail]))


def paired_ends(
    differences: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    resamples: int,
    seed: int,
    confidence: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ends of the intervals of sum(difference) / sum(weights), [pairs] each, from differences [rows, pairs].

    A resample takes each row with probability 1/2. So the level holds with ten rows as with thousands, whatever the
    tails and the weights, when neither model is favoured, that is, a difference is as likely as its opposite: the
    ratios of random parts are Hartigan's typical values (JASA 64, 1969), an inverted test by random signs.
    Rows drawn with replacement give intervals that are too short there (`python -m benchmarks.gate` shows by how much).
    A confidence beyond the resolution of the resamples takes the outermost ratios, confidence 1 - 2 / (resamples + 1).
    docs/decisions.md, "Resamples are random parts of the test set"
    """
    tail = max(1, int((1 - confidence) / 2 * (resamples + 1)))
    ratios = np.empty((resamples, differences.shape[1]))
    for taken, part in _random_parts(len(weights), resamples, seed):
        ratios[part] = taken @ differences / (taken @ weights)[:, None]
    ordered = np.partition(ratios, (tail - 1, resamples - tail), axis=0)
    return ordered[tail - 1], ordered[resamples - tail]


def widened(interval: Interval, half_width: float) -> Interval:
    """The interval when an independent error with an interval of this half width is added to the value.

    Each side becomes the root of the sum of squares. With t intervals the confidence is at least the stated one
    (Banerjee, Sankhya 22, 1960).
    """
    low = math.hypot(interval.value - interval.low, half_width)
    high = math.hypot(interval.high - interval.value, half_width)
    return Interval(interval.value, interval.value - low, interval.value + high)


def wilson_interval(scores: ArrayLike, *, confidence: float) -> Interval:
    """The share of ones among zeros and ones; unlike the bootstrap it keeps its width when all are equal.

    docs/decisions.md, "Wilson intervals for right or wrong"
    """
    from scipy.stats import binomtest  # 0.5 s, which a run with nothing to score saves

    scores = np.asarray(scores, dtype=np.float64)
    successes = int(scores.sum())
    ends = binomtest(successes, len(scores)).proportion_ci(confidence, method="wilson")
    return Interval(successes / len(scores), float(ends.low), float(ends.high))


def median_interval(values: ArrayLike, *, confidence: float) -> Interval:
    """The median, between two of the values: how many lie below it is binomial, whatever their distribution."""
    from scipy.stats import quantile_test

    values = np.asarray(values, dtype=np.float64)
    ends = quantile_test(values, p=0.5).confidence_interval(confidence)
    return Interval(float(np.median(values)), float(ends.low), float(ends.high))


def _resampled_ratios(
    values: NDArray[np.float64], weights: NDArray[np.float64], resamples: int, seed: int
) -> NDArray[np.float64]:
    random = np.random.default_rng(seed)
    rows = len(values)
    at_once = max(1, CELLS // rows)
    ratios = np.zeros(resamples)  # also of a resample without weight, as the score of no entity is
    for start in range(0, resamples, at_once):
        part = ratios[start : start + at_once]
        drawn = random.integers(rows, size=(len(part), rows))
        sums = weights[drawn].sum(axis=1)
        np.divide(values[drawn].sum(axis=1), sums, out=part, where=sums > 0)
    return ratios


def _ratio_difference(
    taken: NDArray[np.float64], sums: NDArray[np.float64], groups: NDArray[Any]
) -> NDArray[np.float64]:
    """For each resample, [resamples, rows], the first column over the second, minus the third over the fourth.

    Of several groups it is the mean, by the rows that are taken of each.
    """
    found = np.zeros(len(taken))
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        totals = taken[:, rows] @ sums[rows]
        over, under = totals[:, ::2], totals[:, 1::2]
        ratios = np.divide(over, under, out=np.zeros_like(over), where=under > 0)
        found += (ratios[:, 0] - ratios[:, 1]) * (taken[:, rows].sum(axis=1) / taken.sum(axis=1))
    return found


def _random_parts(rows: int, resamples: int, seed: int) -> Iterator[tuple[NDArray[np.float64], slice]]:
    """The rows of each resample as 1 or 0, [some resamples, rows], and the places of those resamples."""
    random = np.random.default_rng(seed)
    at_once = max(1, CELLS // rows)
    for start in range(0, resamples, at_once):
        part = slice(start, min(start + at_once, resamples))
        taken = random.integers(2, size=(part.stop - start, rows)).astype(np.float64)
        taken[~taken.any(axis=1)] = 1  # a resample without rows has no ratio
        yield taken, part
