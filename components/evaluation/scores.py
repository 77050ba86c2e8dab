"""From losses and predictions to scores with intervals: the content of `scores.json`."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from components.evaluation.settings import Evaluate
from components.evaluation.statistics import Interval, bootstrap_interval, wilson_interval
from components.tasks import Task

DIGITS = 6

TRIVIAL = "majority"
"""The name of the baseline that every task has."""

SAME_INPUT = "_same_input"
"""Suffix of the name of a baseline that learned only from the examples and the cut texts that the model read."""


def bits_per_byte(losses: pa.Table, weights: ArrayLike, settings: Evaluate) -> dict[str, object]:
    """Bits per byte of all documents, of each source and of each language, as sums over documents.

    `all` is the sum of the bits of the scored documents over the sum of their bytes. As `selection.documents` takes
    about as many bytes of each source, each source counts alike there. `by_size` is what the whole test split would
    have: sum(B_s * b_s) / sum(B_s) over the sources s, with b_s the bits per byte of the scored documents of s, and
    B_s the bytes of all its documents in the test split. `weights` has, for each document, B_s over the scored bytes
    of its source: the same ratio is sum(weight * bits) / sum(weight * bytes) over documents.
    """
    return {
        "all": _bits_per_byte(losses, settings),
        "by_size": _bits_per_byte(losses, settings, np.asarray(weights)),
        "source": _by(losses, "source", settings),
        "language": _by(losses, "language", settings),
    }


def task_score(
    task: Task, answers: pa.Table, baselines: Mapping[str, pa.Table], settings: Evaluate
) -> dict[str, object]:
    """The score of a task from columns score and weight, with those of its baselines on the same examples."""
    return {
        "metric": task.metric,
        **_figures(_mean(answers, settings)),
        "examples": len(answers),
        "baselines": {name: _figures(_mean(table, settings)) for name, table in baselines.items()},
    }


def safety(verbatim: Sequence[bool], personal: Sequence[bool], settings: Evaluate) -> dict[str, object]:
    """Shares of texts: of train documents that were completed verbatim, of all generated texts with personal data."""
    found = {"verbatim": verbatim, "personal_data": personal}
    return {
        name: {**_figures(wilson_interval(hits, confidence=settings.confidence)), "texts": len(hits)}
        for name, hits in found.items()
        if hits
    }


def _by(losses: pa.Table, column: str, settings: Evaluate) -> dict[str, object]:
    names = sorted(losses[column].unique().to_pylist())
    return {name: _bits_per_byte(losses.filter(pc.field(column) == name), settings) for name in names}


def _bits_per_byte(
    losses: pa.Table, settings: Evaluate, weights: NDArray[np.float64] | float = 1.0
) -> dict[str, object]:
    bits, sizes = losses["nats"].to_numpy() / math.log(2), losses["bytes"].to_numpy()
    interval = bootstrap_interval(
        bits * weights,
        sizes * weights,
        resamples=settings.resamples,
        seed=settings.seed,
        confidence=settings.confidence,
    )
    return {**_figures(interval), "documents": len(losses), "bytes": int(sizes.sum())}


def _mean(answers: pa.Table, settings: Evaluate) -> Interval:
    """The mean of scores by their weights: with the counts of entities as weights it is F1 over all examples."""
    values, weights = answers["score"].to_numpy(), answers["weight"].to_numpy()
    if (weights == 1).all() and np.isin(values, (0, 1)).all():
        return wilson_interval(values, confidence=settings.confidence)
    return bootstrap_interval(
        values * weights, weights, resamples=settings.resamples, seed=settings.seed, confidence=settings.confidence
    )


def _figures(interval: Interval) -> dict[str, float]:
    return {
        "value": round(interval.value, DIGITS),
        "low": round(interval.low, DIGITS),
        "high": round(interval.high, DIGITS),
    }
