"""Intervals: their known values, and how often they hold the truth."""

from dataclasses import astuple

import numpy as np
import pytest

from components.evaluation import statistics
from components.evaluation.statistics import (
    bootstrap_interval,
    median_interval,
    paired_bootstrap,
    paired_ratios,
    wilson_interval,
)

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


def test_paired_bootstrap_of_one_pair_is_that_of_many():
    random = np.random.default_rng(0)
    differences, sizes = random.normal(size=(50, 3)), random.integers(1, 50, size=50).astype(float)
    low, high = statistics.paired_ends(differences, sizes, **USUAL)
    for number in range(3):
        interval = paired_bootstrap(differences[:, number], np.zeros(50), sizes, **USUAL)
        assert (interval.low, interval.high) == pytest.approx((low[number], high[number]))


@pytest.mark.parametrize("rows", [10, 20, 100])
@pytest.mark.parametrize("confidence", [0.9, 0.98])
def test_paired_bootstrap_holds_its_level_with_few_rows_heavy_tails_and_uneven_weights(rows, confidence):
    outside, trials = np.zeros(2), 4000
    for seed in range(8):
        random = np.random.default_rng(seed)
        sizes = np.exp(random.normal(0, 1.4, size=rows))
        differences = random.standard_t(2, size=(rows, trials // 8)) * sizes[:, None]
        low, high = statistics.paired_ends(differences, sizes, resamples=2000, seed=seed, confidence=confidence)
        outside += [(high < 0).sum(), (low > 0).sum()]
    stated = (1 - confidence) / 2
    assert (outside / trials < stated + 3.5 * np.sqrt(stated / trials)).all()


def test_paired_bootstrap_is_the_same_whatever_is_drawn_at_once(monkeypatch):
    a, b = np.random.default_rng(0).random((2, 50))
    whole = paired_bootstrap(a, b, **USUAL)
    monkeypatch.setattr(statistics, "CELLS", 120)
    again = paired_bootstrap(a, b, **USUAL)
    assert (again.low, again.high) == pytest.approx((whole.low, whole.high))


def test_median_interval_holds_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        interval = median_interval(random.exponential(size=21), confidence=0.95)
        held += interval.low <= np.log(2) <= interval.high
    assert held >= 180


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


def test_ratios_with_weights_of_their_own_differ_as_their_sums_do() -> None:
    random = np.random.default_rng(0)
    ours, theirs = random.integers(1, 5, (2, 60)).astype(float)
    found = paired_ratios((ours * 0.9, ours), (theirs * 0.5, theirs), resamples=400, seed=1, confidence=0.95)
    assert (found.low, found.value, found.high) == pytest.approx((0.4, 0.4, 0.4))
    same = paired_ratios((ours, ours), (ours, ours), resamples=400, seed=1, confidence=0.95)
    assert (same.low, same.value, same.high) == (0, 0, 0)
    alike = np.ones(60)
    ratios = paired_ratios((ours, alike), (theirs, alike), **USUAL)
    assert astuple(ratios) == pytest.approx(astuple(paired_bootstrap(ours, theirs, **USUAL)))
    nothing = np.zeros(60)
    assert paired_ratios((nothing, nothing), (ours, ours), **USUAL).high == -1


def test_groups_count_by_their_rows_and_without_weights_change_nothing() -> None:
    random = np.random.default_rng(0)
    ours, theirs = random.random((2, 60))
    alike, groups = np.ones(60), np.repeat([1, 5], [20, 40])
    grouped = paired_ratios((ours, alike), (theirs, alike), groups, **USUAL)
    assert astuple(grouped) == pytest.approx(astuple(paired_bootstrap(ours, theirs, **USUAL)))
    sizes = np.where(groups == 1, 1000.0, 1.0)  # within a group alike, so they do not count
    weighted = paired_ratios((ours * sizes, sizes), (theirs * sizes, sizes), groups, **USUAL)
    assert astuple(weighted) == pytest.approx(astuple(grouped))
