"""Intervals: their known values, and how often they hold the truth."""

import numpy as np
import pytest

from components.evaluation import statistics
from components.evaluation.statistics import bootstrap_interval, paired_bootstrap, wilson_interval

USUAL = {"resamples": 400, "seed": 1, "confidence": 0.95}


def test_value_is_the_ratio_of_sums_not_the_mean_of_ratios():
    interval = bootstrap_interval([1, 30], [1, 10], **USUAL)
    assert interval.value == pytest.approx(31 / 11)
    assert interval.low <= interval.value <= interval.high


def test_without_weights_it_is_the_mean_with_the_classic_interval():
    values = np.random.default_rng(0).normal(5, 2, size=400)
    interval = bootstrap_interval(values, resamples=2000, seed=1, confidence=0.95)
    half = 1.96 * values.std() / 20
    assert interval.value == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.02)


def test_bootstrap_holds_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    held = 0
    for number in range(200):
        sizes = random.integers(1, 50, size=100)
        nats = sizes * random.gamma(4, 0.25, size=100)  # one nat a byte in truth
        interval = bootstrap_interval(nats, sizes, resamples=200, seed=number, confidence=0.9)
        held += interval.low <= 1 <= interval.high
    assert 160 <= held <= 195  # 180 wanted


def test_same_seed_same_interval_whatever_is_drawn_at_once(monkeypatch):
    values = np.random.default_rng(0).random(50)
    whole = bootstrap_interval(values, **USUAL)
    assert whole == bootstrap_interval(values, **USUAL)
    assert whole != bootstrap_interval(values, **USUAL | {"seed": 2})
    monkeypatch.setattr(statistics, "CELLS", 120)
    assert bootstrap_interval(values, **USUAL) == whole


def test_paired_bootstrap_sees_what_separate_intervals_hide():
    random = np.random.default_rng(0)
    hardness = random.gamma(2, 100, size=300)  # documents differ far more than the models do
    ours, theirs, sizes = hardness * 0.98, hardness + random.normal(0, 1, size=300), hardness * 2
    separate = [bootstrap_interval(nats, **USUAL) for nats in (ours, theirs)]
    assert separate[0].high > separate[1].low
    difference = paired_bootstrap(ours, theirs, sizes, **USUAL)
    assert difference.value == pytest.approx((ours.sum() - theirs.sum()) / sizes.sum())
    assert difference.high < 0


def test_paired_bootstrap_of_a_model_with_itself_is_zero():
    difference = paired_bootstrap([1, 2, 3], [1, 2, 3], [1, 1, 1], **USUAL)
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


# https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval, worked out by hand
@pytest.mark.parametrize(
    ("ones", "count", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)]
)
def test_wilson_interval(ones, count, low, high):
    interval = wilson_interval([1] * ones + [0] * (count - ones), confidence=0.95)
    assert interval.value == ones / count
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(("values", "weights"), [([], None), ([1.0], [1.0, 2.0])])
def test_rows_without_weights_and_no_rows_are_refused(values, weights):
    with pytest.raises(ValueError, match="weights"):
        bootstrap_interval(values, weights, **USUAL)
