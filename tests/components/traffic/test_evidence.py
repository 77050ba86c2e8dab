"""The trial of a canary: the law of its false alarms, and how soon it sees a worse one."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.traffic import evidence
from components.traffic.evidence import FALSE_ALARM, SLOWER, Trial, log_evidence


@given(st.integers(0, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_closed_form_is_the_sum_of_whole_numbers(counts):
    k, n = counts
    exact = sum(math.comb(n + 1, i) for i in range(k + 1)) / ((n + 1) * math.comb(n, k))
    assert log_evidence(k, n) == pytest.approx(math.log(exact), abs=1e-9)


@given(st.integers(0, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_it_is_a_martingale_where_the_two_are_alike(counts):
    k, n = counts
    expected = (math.exp(log_evidence(k + 1, n + 1)) + math.exp(log_evidence(k, n + 1))) / 2
    assert expected == pytest.approx(math.exp(log_evidence(k, n)), rel=1e-6)


def run(trial: Trial, requests: int, champion, challenger) -> int:
    """Let both answer by these functions; the number of requests until it is taken back, or of all."""
    for number in range(requests):
        turn = trial.turn()
        turn.ended((champion if turn.side == "champion" else challenger)())
        if trial.reason is not None:
            return number + 1
    return requests


def slow() -> float:
    return random.lognormvariate(0, 1)


def test_false_alarms_are_as_rare_as_stated():
    random.seed(0)
    trials = [Trial(0.5) for _ in range(200)]
    for trial in trials:
        run(trial, 400, slow, lambda: SLOWER * slow() if random.random() > 0.02 else None)
    # Errors are more than the champion's here, and rare; latency is at the limit of what is no alarm.
    assert sum(trial.slow.alarm for trial in trials) <= 2 * FALSE_ALARM * len(trials)


def test_a_challenger_that_fails_is_taken_back_after_eleven_pairs():
    trial = Trial(0.05)
    random.seed(1)
    run(trial, 10_000, lambda: 1.0, lambda: None)
    assert (trial.errors.worse, trial.failed) == (11, 11)
    assert "failed" in trial.reason


def test_a_challenger_that_takes_twice_as_long_is_taken_back():
    random.seed(2)
    trial = Trial(0.05)
    needed = run(trial, 20_000, slow, lambda: 2 * slow())
    assert needed < 20_000
    assert "times as long" in trial.reason


def test_the_share_of_the_requests_is_as_set():
    random.seed(3)
    trial = Trial(0.05)
    sides = [trial.turn().side for _ in range(20_000)]
    assert sides.count("challenger") / len(sides) == pytest.approx(0.05, abs=0.01)


def test_a_pair_that_was_given_up_tells_nothing():
    trial = Trial(0.5)
    first, second = trial.turn(), trial.turn()
    first.ended(1.0)
    assert {first.side, second.side} == {"champion", "challenger"}
    assert trial.slow.pairs == trial.errors.pairs == 0
    second.ended(1.0)
    assert trial.slow.pairs == 1
    assert evidence.log_evidence(0, 0) == 0
