"""The gate as a statistician would test it: how often does it err, and does it see what is there?"""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluation.settings import Evaluate
from components.registry import gate
from components.registry.gate import Decision
from components.registry.settings import Gate
from components.stage import BadData
from tests.components.registry.tiny import scores

SETTINGS = Gate(max_bits_per_byte=3.0, min_margin=0.1, min_gain=0.0, confidence=0.95, resamples=400, seed=0)


def losses(nats: np.ndarray, sizes: np.ndarray) -> pa.Table:
    return pa.table({"document": [f"{n:04}" for n in range(len(nats))], "bytes": sizes, "nats": nats})


def predictions(values: dict[str, np.ndarray]) -> pa.Table:
    rows = [
        {"example": f"{n:04}", "task": task, "score": float(score)}
        for task, values_of_task in values.items()
        for n, score in enumerate(values_of_task)
    ]
    return pa.Table.from_pylist(rows)


def pair(random: np.random.Generator, gain: float) -> tuple[pa.Table, pa.Table]:
    """Losses of two models on 120 documents: hard and easy ones, long and short; ours takes `gain` bits less a byte."""
    sizes = random.integers(100, 3000, 120)
    hardness = random.gamma(20, 0.1, 120) * sizes
    ours, theirs = (hardness * random.normal(1, 0.05, 120) for _ in range(2))
    return losses(ours - gain * math.log(2) * sizes, sizes), losses(theirs, sizes)


def test_equal_models_pass_no_more_often_than_stated() -> None:
    random = np.random.default_rng(1)
    trials = 600
    passed = sum(gate.fewer_bits(*pair(random, gain=0.0), SETTINGS).holds for _ in range(trials))
    stated = (1 - SETTINGS.confidence) / 2
    assert passed / trials < stated + 3 * math.sqrt(stated / trials)


def test_a_better_model_passes_and_a_worse_one_does_not() -> None:
    random = np.random.default_rng(2)
    assert all(gate.fewer_bits(*pair(random, gain=0.1), SETTINGS).holds for _ in range(20))
    assert not any(gate.fewer_bits(*pair(random, gain=-0.1), SETTINGS).holds for _ in range(20))


def test_equal_models_lose_some_task_no_more_often_than_stated() -> None:
    random = np.random.default_rng(3)
    trials, failed = 300, 0
    for _ in range(trials):
        ours, theirs = (predictions({f"task_{task}": random.random(100) < 0.7 for task in range(5)}) for _ in range(2))
        failed += not all(rule.holds for rule in gate.no_loss(ours, theirs, SETTINGS))
    stated = (1 - SETTINGS.confidence) / 2
    assert failed / trials < stated + 3 * math.sqrt(stated / trials)


def test_a_lost_task_is_seen_among_kept_ones() -> None:
    random = np.random.default_rng(4)
    kept, lost, before = random.random(300) < 0.8, random.random(300) < 0.6, random.random(300) < 0.8
    rules = gate.no_loss(
        predictions({"kept": kept, "lost": lost}), predictions({"kept": kept, "lost": before}), SETTINGS
    )
    assert {rule.name: rule.holds for rule in rules} == {"kept, change": True, "lost, change": False}


@given(
    st.lists(st.tuples(st.floats(1, 1e4), st.integers(1, 10_000)), min_size=1, max_size=50),
    st.integers(0, 10),
)
@settings(max_examples=50, deadline=None)
def test_a_model_never_beats_itself(rows: list[tuple[float, int]], seed: int) -> None:
    nats, sizes = (np.array(column) for column in zip(*rows, strict=True))
    rule = gate.fewer_bits(losses(nats, sizes), losses(nats, sizes), Gate(**vars(SETTINGS) | {"seed": seed}))
    assert not rule.holds
    assert (rule.figure.low, rule.figure.value, rule.figure.high) == (0, 0, 0)


@given(st.permutations(range(40)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    ours, theirs = pair(np.random.default_rng(5), gain=0.02)
    ours, theirs = ours.slice(0, 40), theirs.slice(0, 40)
    assert gate.fewer_bits(ours.take(order), theirs, SETTINGS) == gate.fewer_bits(ours, theirs, SETTINGS)


def test_the_change_is_in_bits_of_all_over_bytes_of_all() -> None:
    sizes = np.array([100, 900])
    rule = gate.fewer_bits(
        losses(np.array([100.0, 900.0]) * math.log(2), sizes),
        losses(np.array([100.0, 1800.0]) * math.log(2), sizes),
        SETTINGS,
    )
    assert rule.figure.value == pytest.approx(-0.9)


def test_a_task_that_only_one_was_taught_counts_as_answered_wrong_by_the_other() -> None:
    right = np.ones(50)
    both, one = predictions({"old": right, "new": right}), predictions({"old": right})
    assert {rule.name: rule.holds for rule in gate.no_loss(one, both, SETTINGS)} == {
        "old, change": True,
        "new, change": False,
    }
    assert all(rule.holds for rule in gate.no_loss(both, one, SETTINGS))


def test_models_without_comparable_bits_are_judged_by_all_their_answers() -> None:
    random = np.random.default_rng(8)
    good, bad = (predictions({task: random.random(200) < chance for task in ("a", "b")}) for chance in (0.8, 0.6))
    assert gate.better_answers(good, bad, SETTINGS).holds
    assert not gate.better_answers(bad, good, SETTINGS).holds
    assert not gate.better_answers(good, good, SETTINGS).holds


def test_floors_of_a_model_that_only_labels_are_those_of_its_tasks() -> None:
    assert [rule.name for rule in gate.floors(scores(kind="labels"), SETTINGS)] == ["topic"]


def test_a_gain_below_the_least_one_does_not_count() -> None:
    ours, theirs = pair(np.random.default_rng(6), gain=0.1)
    assert gate.fewer_bits(ours, theirs, SETTINGS).holds
    assert not gate.fewer_bits(ours, theirs, Gate(**vars(SETTINGS) | {"min_gain": 0.2})).holds


def test_models_that_saw_different_documents_are_not_compared() -> None:
    ours, theirs = pair(np.random.default_rng(7), gain=0.1)
    with pytest.raises(BadData, match="not scored on the same documents"):
        gate.fewer_bits(ours.slice(1), theirs, SETTINGS)


def test_floors_ask_the_unlucky_end_of_each_interval() -> None:
    good = gate.floors(scores(topic=0.75), SETTINGS)  # 0.65 at worst; the trivial baseline has 0.5
    assert [str(rule) for rule in good] == [
        "bits per byte: 2.5000 [2.4000, 2.6000], needs upper end below 3: holds",
        "topic: 0.7500 [0.6500, 0.8500], needs lower end above 0.6: holds",
    ]
    assert [rule.holds for rule in gate.floors(scores(topic=0.69), SETTINGS)] == [True, False]


def test_a_decision_says_what_failed_and_survives_json() -> None:
    rules = tuple(gate.floors(scores(topic=0.69), SETTINGS))
    decision = Decision(promote=False, against="floors", rules=rules)
    assert str(decision) == "keep: 1 of 2 rules against the floors fail (topic)"
    assert Decision.from_json(decision.to_json()) == decision


def test_a_first_model_is_judged_by_its_floors(tiny_reports: Path) -> None:
    decision = gate.judge(tiny_reports, None, SETTINGS, EVALUATION)
    assert (decision.promote, decision.against) == (True, "floors")


EVALUATION = Evaluate(
    max_bytes_per_source=500,
    max_examples=8,
    max_example_tokens=90,
    tokens_per_batch=512,
    max_new_tokens=4,
    repetition_penalty=1.2,
    samples=1,
    resamples=100,
    confidence=0.95,
    seed=0,
)


def test_a_champion_is_scored_afresh_and_keeps_its_place_in_a_tie(
    tmp_path: Path, tiny_model: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.evaluation.evaluate import evaluate

    (tmp_path / "data").mkdir()
    (tmp_path / "data/prepared").symlink_to(tiny_data)
    monkeypatch.chdir(tmp_path)
    evaluate(tiny_model, EVALUATION, "assistant").write(Path("reports"))
    decision = gate.judge(Path("reports"), tiny_model, SETTINGS, EVALUATION)
    assert (decision.promote, decision.against) == (False, "champion")
    assert {rule.name: rule.holds for rule in decision.rules} == {"bits per byte, change": False, "topic, change": True}


def test_an_encoder_against_a_decoder_is_judged_by_its_answers(
    tmp_path: Path, tiny_models: dict[str, Path], tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.evaluation.evaluate import evaluate

    (tmp_path / "data").mkdir()
    (tmp_path / "data/prepared").symlink_to(tiny_data)
    monkeypatch.chdir(tmp_path)
    evaluate(tiny_models["labels"], EVALUATION, "assistant").write(Path("reports"))
    decision = gate.judge(Path("reports"), tiny_models["decoder"], SETTINGS, EVALUATION)
    assert [rule.name for rule in decision.rules] == ["score over all tasks, change", "topic, change"]
