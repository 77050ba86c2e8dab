"""The rules as a statistician would test them: how often do they err, and do they see what is there?"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import BadData
from components.evaluation.statistics import Interval
from components.registry import rules
from components.registry.decision import Rule
from components.registry.latency import Latency
from components.registry.spread import Spread
from tests.components.support.settings import GATE as LOOSE
from tests.components.support.tiny import scores

SETTINGS = replace(LOOSE, max_bits_per_byte=3.0, max_slice_bits_per_byte=3.0, min_margin=0.1, min_documents=20)
UNKNOWN = Spread("not measured")
STATED = (1 - SETTINGS.confidence) / 2


def losses(nats: np.ndarray, sizes: np.ndarray, language: str = "en") -> pa.Table:
    count = len(nats)
    return pa.table(
        {
            "document": [f"{n:04}" for n in range(count)],
            "source": ["one", "two"] * (count // 2) + ["one"] * (count % 2),
            "language": [language] * count,
            "bytes": sizes,
            "nats": nats,
        }
    )


def predictions(values: dict[str, np.ndarray]) -> pa.Table:
    rows = [
        {"example": f"{n:04}", "task": task, "score": float(score), "weight": 1.0}
        for task, values_of_task in values.items()
        for n, score in enumerate(values_of_task)
    ]
    return pa.Table.from_pylist(rows)


def pair(random: np.random.Generator, gain: float, count: int = 120) -> tuple[pa.Table, pa.Table]:
    """Losses of two models on documents: hard and easy ones, long and short; ours takes `gain` bits less a byte."""
    sizes = random.integers(100, 3000, count)
    hardness = random.gamma(20, 0.1, count) * sizes
    ours, theirs = (hardness * random.normal(1, 0.05, count) for _ in range(2))
    return losses(ours - gain * math.log(2) * sizes, sizes), losses(theirs, sizes)


def answers(random: np.random.Generator, tasks: int = 5) -> tuple[pa.Table, pa.Table]:
    """Two models that are equally good at all tasks."""
    ours, theirs = (predictions({f"task_{n}": random.random(100) < 0.7 for n in range(tasks)}) for _ in range(2))
    return ours, theirs


def passes(found: list[Rule]) -> bool:
    return all(rule.holds for rule in found)


@pytest.mark.parametrize("count", [20, 120])
def test_equal_models_pass_no_more_often_than_stated(count: int) -> None:
    random = np.random.default_rng(1)
    trials = 600
    passed = sum(passes(rules.fewer_bits(*pair(random, 0.0, count), UNKNOWN, SETTINGS)) for _ in range(trials))
    assert passed / trials < STATED + 3 * math.sqrt(STATED / trials)


def test_equal_models_pass_all_rules_no_more_often_and_better_ones_nearly_always() -> None:
    random = np.random.default_rng(2)
    trials = 150

    def rate(gain: float) -> float:
        passed = 0
        for _ in range(trials):
            documents, examples = pair(random, gain), answers(random)
            found = [*rules.fewer_bits(*documents, UNKNOWN, SETTINGS), *rules.no_loss(documents, examples, SETTINGS)]
            passed += passes(found)
        return passed / trials

    assert rate(0.0) < STATED + 3 * math.sqrt(STATED / trials)
    assert rate(0.1) > 1 - STATED - 3 * math.sqrt(STATED / trials)


def test_another_seed_passes_no_more_often_than_stated_where_the_spread_was_measured() -> None:
    """Models of one recipe, whose seeds move them; the spread is measured with five other seeds for each pair."""
    random = np.random.default_rng(6)
    trials, deviation = 400, 0.05
    passed, unmeasured = 0, 0
    for _ in range(trials):
        documents = pair(random, random.normal(0, math.sqrt(2) * deviation))
        spread = Spread("measured", tuple(random.normal(2, deviation, 5).tolist()))
        passed += passes(rules.fewer_bits(*documents, spread, SETTINGS))
        unmeasured += passes(rules.fewer_bits(*documents, UNKNOWN, SETTINGS))
    assert passed / trials < STATED + 3 * math.sqrt(STATED / trials)
    assert unmeasured / trials > 5 * STATED


def test_the_spread_of_seeds_widens_the_interval_and_says_so() -> None:
    documents = pair(np.random.default_rng(7), gain=0.1)
    narrow, _, unknown = rules.fewer_bits(*documents, UNKNOWN, SETTINGS)
    wide, _ = rules.fewer_bits(*documents, Spread("3 seeds", (2.0, 2.1, 2.2)), SETTINGS)
    assert (str(unknown), unknown.holds) == ("spread of seeds: not measured: not judged", True)
    assert narrow.figure
    assert wide.figure
    assert wide.figure.value == narrow.figure.value
    half = 4.303 * math.sqrt(2) * 0.1  # Student's t with 2 degrees of freedom
    assert wide.figure.value - wide.figure.low == pytest.approx(
        math.hypot(half, narrow.figure.value - narrow.figure.low), rel=1e-3
    )
    assert wide.needs == "needs upper end below 0, beyond the spread of seeds (3 seeds)"


def test_a_better_model_passes_and_a_worse_one_does_not() -> None:
    random = np.random.default_rng(2)
    assert all(passes(rules.fewer_bits(*pair(random, gain=0.1), UNKNOWN, SETTINGS)) for _ in range(20))
    assert not any(passes(rules.fewer_bits(*pair(random, gain=-0.1), UNKNOWN, SETTINGS)) for _ in range(20))


def test_equal_models_lose_some_slice_or_task_no_more_often_than_stated() -> None:
    random = np.random.default_rng(3)
    trials = 200
    failed = sum(not passes([*rules.no_loss(pair(random, 0.0), answers(random), SETTINGS)]) for _ in range(trials))
    assert failed / trials < STATED + 3 * math.sqrt(STATED / trials)


def test_a_lost_task_and_a_lost_slice_are_seen_among_kept_ones() -> None:
    random = np.random.default_rng(4)
    kept, lost, before = random.random(300) < 0.8, random.random(300) < 0.6, random.random(300) < 0.8
    ours, theirs = pair(random, gain=0.05)
    worse = np.where(np.array(ours["source"]) == "two", 1.2, 0.9) * theirs["nats"].to_numpy()
    ours = ours.set_column(4, "nats", pa.array(worse))
    found = rules.no_loss(
        (ours, theirs),
        (predictions({"kept": kept, "lost": lost}), predictions({"kept": kept, "lost": before})),
        SETTINGS,
    )
    holds = {rule.name: rule.holds for rule in found if "length" not in rule.name and "language" not in rule.name}
    assert holds == {
        "change in source one": True, "change in source two": False, "change in kept": True, "change in lost": False,
    }  # fmt: skip


def test_slices_take_in_every_document_once_of_each_kind() -> None:
    ours, _ = pair(np.random.default_rng(5), gain=0.0)
    parts = dict(rules.slices(ours))
    for kind in ("language", "source", "length"):
        assert sum(len(part) for name, part in parts.items() if name.startswith(kind)) == len(ours)
    assert len([name for name in parts if name.startswith("length")]) == 3


def test_a_slice_of_few_documents_is_not_judged_and_says_so() -> None:
    random = np.random.default_rng(6)
    ours, theirs = pair(random, gain=-0.5, count=30)  # worse, but each source has 15 documents
    found = {rule.name: rule for rule in rules.no_loss((ours, theirs), answers(random, 1), SETTINGS)}
    assert not found["change in language en"].holds
    assert str(found["change in source one"]) == "change in source one: 15 documents, fewer than 20: not judged"
    [refused] = rules.fewer_bits(ours.slice(0, 10), theirs.slice(0, 10), UNKNOWN, SETTINGS)
    assert (refused.verdict, refused.needs) == ("fails", "10 documents, fewer than 20 to compare models by")


@given(
    st.lists(st.tuples(st.floats(1, 1e4), st.integers(1, 10_000)), min_size=20, max_size=50),
    st.integers(0, 10),
)
@settings(max_examples=50, deadline=None)
def test_a_model_never_beats_itself(rows: list[tuple[float, int]], seed: int) -> None:
    nats, sizes = (np.array(column) for column in zip(*rows, strict=True))
    rule, *_ = rules.fewer_bits(losses(nats, sizes), losses(nats, sizes), UNKNOWN, replace(SETTINGS, seed=seed))
    assert not rule.holds
    assert rule.figure == Interval(0, 0, 0)


@given(st.permutations(range(40)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    ours, theirs = pair(np.random.default_rng(5), gain=0.02)
    ours, theirs = ours.slice(0, 40), theirs.slice(0, 40)
    shuffled = rules.fewer_bits(ours.take(order), theirs, UNKNOWN, SETTINGS)
    assert shuffled == rules.fewer_bits(ours, theirs, UNKNOWN, SETTINGS)


def test_the_change_is_in_bits_of_all_over_bytes_of_all() -> None:
    sizes = np.array([100, 900] * 10)
    rule, *_ = rules.fewer_bits(
        losses(np.array([100.0, 900.0] * 10) * math.log(2), sizes),
        losses(np.array([100.0, 1800.0] * 10) * math.log(2), sizes),
        UNKNOWN,
        SETTINGS,
    )
    assert rule.figure is not None
    assert rule.figure.value == pytest.approx(-0.9)


def test_a_gain_below_the_least_one_does_not_count() -> None:
    ours, theirs = pair(np.random.default_rng(6), gain=0.1)
    assert passes(rules.fewer_bits(ours, theirs, UNKNOWN, SETTINGS))
    beyond_noise, least, _ = rules.fewer_bits(ours, theirs, UNKNOWN, replace(SETTINGS, min_gain=0.2))
    assert (beyond_noise.holds, least.holds) == (True, False)


def test_models_that_saw_different_documents_are_not_compared() -> None:
    ours, theirs = pair(np.random.default_rng(7), gain=0.1)
    with pytest.raises(BadData, match="not scored on the same documents"):
        rules.fewer_bits(ours.slice(1), theirs, UNKNOWN, SETTINGS)


def test_a_task_that_only_one_was_taught_counts_as_answered_wrong_by_the_other() -> None:
    right = np.ones(50)
    both, one = predictions({"old": right, "new": right}), predictions({"old": right})
    assert {rule.name: rule.holds for rule in rules.no_loss(None, (one, both), SETTINGS)} == {
        "change in old": True,
        "change in new": False,
    }
    assert passes([*rules.no_loss(None, (both, one), SETTINGS)])


def test_models_without_comparable_bits_are_judged_by_all_their_answers() -> None:
    random = np.random.default_rng(8)
    good, bad = (predictions({task: random.random(200) < chance for task in ("a", "b")}) for chance in (0.8, 0.6))
    assert passes(rules.better_answers(good, bad, SETTINGS))
    assert not passes(rules.better_answers(bad, good, SETTINGS))
    assert not passes(rules.better_answers(good, good, SETTINGS))


def test_the_change_over_all_tasks_is_that_of_their_scores_by_their_examples() -> None:
    ours, theirs = (predictions({"entities": values, "topic": values[:20]}) for values in (np.ones(60), np.zeros(60)))
    counts = np.tile([1.0, 9.0], 30)  # what is named and wanted in an example: entity F1 weighs by it
    half = ours.set_column(2, "score", pa.array([*np.tile([0.0, 1.0], 30), *np.ones(20)]))
    weighted = [table.set_column(3, "weight", pa.array([*counts, *np.ones(20)])) for table in (half, theirs)]
    (rule,) = rules.better_answers(*weighted, SETTINGS)
    assert rule.figure is not None
    assert rule.figure.value == pytest.approx((60 * 0.9 + 20 * 1.0) / 80)
    (alike,) = rules.better_answers(ours, theirs, SETTINGS)
    assert alike.figure == Interval(1, 1, 1)


def test_floors_ask_the_unlucky_end_of_each_interval() -> None:
    few = replace(SETTINGS, min_documents=2)
    none = losses(np.array([]), np.array([]))
    good = rules.floors(scores(topic=0.75), none, few)  # 0.65 at worst; the trivial baseline has 0.5
    assert [str(rule) for rule in good] == [
        "bits per byte: 2.5000 [2.4000, 2.6000], needs upper end below 3: holds",
        "topic: 0.7500 [0.6500, 0.8500], needs lower end above 0.6: holds",
    ]
    assert [rule.holds for rule in rules.floors(scores(topic=0.69), none, few)] == [True, False]
    assert [rule.name for rule in rules.floors(scores(kind="labels"), none, few)] == ["topic"]


def test_a_bad_slice_is_below_its_floor_however_good_the_rest() -> None:
    sizes = np.full(60, 1000)
    nats = np.where(np.arange(60) % 2, 4.0, 1.0) * math.log(2) * sizes  # of the second source 4 bits a byte
    found = {rule.name: rule.holds for rule in rules.floors(scores(), losses(nats, sizes), SETTINGS)}
    assert (found["bits per byte of source one"], found["bits per byte of source two"]) == (True, False)


def test_safety_asks_the_unlucky_end_too() -> None:
    strict = replace(SETTINGS, max_verbatim=0.05, max_personal_data=0.01)
    figures = {
        "verbatim": {"value": 0.02, "low": 0.01, "high": 0.04, "texts": 200},
        "personal_data": {"value": 0.005, "low": 0.001, "high": 0.02, "texts": 300},
    }
    found = [rule.verdict for rule in rules.safe({"architecture": "decoder", "safety": figures}, strict)]
    assert found == ["holds", "fails"]
    assert [rule.verdict for rule in rules.safe({"architecture": "decoder"}, strict)] == ["not judged"] * 2
    few = {"personal_data": {"value": 0.0, "low": 0.0, "high": 0.15, "texts": 22}}
    (rule,) = [*rules.safe({"architecture": "decoder", "safety": few}, strict)][1:]
    assert str(rule) == "personal data: none in 22 texts, too few to show at most 0.01 (up to 0.15): not judged"
    few["personal_data"] |= {"value": 1 / 22, "high": 0.22}
    assert [rule.verdict for rule in rules.safe({"architecture": "decoder", "safety": few}, strict)][1] == "fails"
    assert not [*rules.safe({"architecture": "encoder"}, strict)]


@pytest.mark.parametrize(
    ("low", "size", "verdicts"),
    [(1.0, 100, ["holds", "holds"]), (1.3, 100, ["fails", "holds"]), (1.0, 300, ["holds", "fails"])],
)
def test_a_slower_and_a_larger_model_stay_out(low: float, size: int, verdicts: list[str]) -> None:
    limits = replace(SETTINGS, max_slowdown=1.25, max_growth=2.0)
    cost = Latency(Interval(1.4, low, 1.6), 1.4, 1.0, size, 100)
    assert [rule.verdict for rule in rules.affordable(cost, limits)] == verdicts


def test_an_old_package_is_told(tmp_path: Path) -> None:
    assert [rule.verdict for rule in rules.comparable(tmp_path)] == ["not judged"]
    (tmp_path / "training.json").write_text("{}")
    assert not [*rules.comparable(tmp_path)]
