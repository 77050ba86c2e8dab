"""The policy as laws, the log of its decisions, and the account of what trainings took."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.retraining import decision_log, usage
from flows.retraining.decision_log import LoggedDecision
from flows.retraining.policy import PastTraining, Request, decide, spent
from flows.retraining.settings import Retraining
from flows.retraining.usage import UsageMeter
from tests.flows.support.retraining import SETTINGS

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
WEEK = 7 * 24 * 60  # minutes

amounts = st.floats(0, 3 * WEEK)
trainings = st.builds(
    lambda ago, minutes, idle: PastTraining(
        NOW - timedelta(minutes=ago + minutes + idle), NOW - timedelta(minutes=ago), minutes
    ),
    *(amounts, st.floats(0, 600), st.floats(0, 60)),
)
histories = st.lists(trainings, max_size=6)
settings = st.builds(
    lambda tokens, drift, cooldown, budget: replace(
        SETTINGS, min_new_tokens=tokens, max_drift=drift, cooldown_minutes=cooldown, budget_minutes=budget
    ),
    *(st.integers(0, 10**9), st.floats(0.01, 5), st.floats(0, WEEK), st.floats(1, WEEK)),
)
requests = st.builds(
    Request,
    st.sampled_from(["calendar", "data: +120,340 tokens", "data", "drift: 0.31 > 0.25", "by hand", "Ada tries it"]),
    *(st.integers(0, 10**9), st.floats(0, 5)),
)


@given(requests, histories, settings)
def test_every_decision_has_a_reason_of_one_line(
    request: Request, history: list[PastTraining], settings: Retraining
) -> None:
    assert decide(request, history, settings, NOW).reason.splitlines()[1:] == []
    assert decide(request, history, settings, NOW).reason


@given(st.sampled_from(["by hand", "Ada tries it", "a database changed"]), histories, settings)
def test_a_person_is_never_refused(trigger: str, history: list[PastTraining], settings: Retraining) -> None:
    assert decide(Request(trigger, 0, 0.0), history, settings, NOW).train


@given(requests, histories, settings, st.randoms(use_true_random=False))
def test_the_order_of_the_history_does_not_count(
    request: Request, history: list[PastTraining], settings: Retraining, chance
) -> None:
    shuffled = chance.sample(history, len(history))
    assert decide(request, history, settings, NOW).train == decide(request, shuffled, settings, NOW).train


@given(requests, histories, settings, st.floats(0, WEEK), st.integers(0, 10**6), st.floats(0, 1), st.floats(0, WEEK))
def test_laxer_settings_never_turn_a_yes_into_a_no(
    request: Request,
    history: list[PastTraining],
    settings: Retraining,
    budget: float,
    tokens: int,
    drift: float,
    cooldown: float,
) -> None:
    if not decide(request, history, settings, NOW).train:
        return
    laxer = replace(
        settings,
        budget_minutes=settings.budget_minutes + budget,
        min_new_tokens=max(0, settings.min_new_tokens - tokens),
        max_drift=settings.max_drift / (1 + drift),
        cooldown_minutes=max(0.0, settings.cooldown_minutes - cooldown),
    )
    assert decide(request, history, laxer, NOW).train


@given(requests, histories, settings)
def test_a_yes_keeps_to_every_rule(request: Request, history: list[PastTraining], settings: Retraining) -> None:
    if request.kind == "by hand" or not decide(request, history, settings, NOW).train:
        return
    last = max(history, key=lambda training: training.ended, default=None)
    if request.kind == "data":
        assert request.new_tokens >= settings.min_new_tokens
    if request.kind == "drift":
        assert request.drift > settings.max_drift
    if last:
        assert NOW - last.ended >= timedelta(minutes=settings.cooldown_minutes)
    assert spent(history, NOW) + (last.minutes if last else 0) <= settings.budget_minutes


@given(settings, st.floats(1, 300), st.integers(1, 200))
def test_trainings_that_cost_the_same_stay_within_the_budget(settings: Retraining, minutes: float, asked: int) -> None:
    history: list[PastTraining] = []
    now = NOW
    for _ in range(asked):
        if decide(Request("calendar", 0, 0.0), history, settings, now).train:
            history.append(PastTraining(now, now + timedelta(minutes=minutes), minutes))
        now += timedelta(minutes=minutes + 120)
        assert spent(history, now) <= max(settings.budget_minutes, minutes)  # nobody knows what the first one costs


@given(histories)
def test_what_is_a_week_old_costs_nothing(history: list[PastTraining]) -> None:
    old = [training for training in history if training.ended <= NOW - timedelta(days=7)]
    assert spent(old, NOW) == 0


@pytest.mark.parametrize(
    ("request_", "history", "reason"),
    [
        (Request("data: +120,340 tokens", 120_340, 0), [], "below min_new_tokens 500,000"),
        (Request("drift: 0.31 > 0.25", 0, 0.2), [], "the drift is 0.20, not above max_drift 0.25"),
        (
            Request("calendar", 0, 0),
            [PastTraining(NOW - timedelta(minutes=85), NOW - timedelta(minutes=30), 55)],
            "the last training ended 30 minutes ago, within the cooldown of 60",
        ),
        (
            Request("calendar", 0, 0),
            [
                PastTraining(NOW - timedelta(days=2), NOW - timedelta(days=2), 145),
                PastTraining(NOW - timedelta(days=1), NOW - timedelta(days=1), 55),
            ],
            "40 of 240 minutes of this week's budget are left, the last run took 55",
        ),
    ],
)
def test_a_refusal_says_why(request_: Request, history: list[PastTraining], reason: str) -> None:
    decision = decide(request_, history, SETTINGS, NOW)
    assert (decision.train, decision.reason) == (False, reason)


def test_decisions_are_lines_that_a_cut_one_does_not_spoil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert decision_log.decisions() == []
    first = LoggedDecision(NOW.isoformat(), "calendar", True, "240 of 240 minutes", "a-run", "00")
    second = replace(first, train=False, reason="—", flow_run="another")
    decision_log.note(first)
    with decision_log.DECISIONS.open("a") as log:
        log.write('{"time": "20\n')
    decision_log.note(second)
    assert decision_log.decisions() == [first, second]
    assert decision_log.decision_of("another") == second
    assert decision_log.decision_of("a third") is None


def test_the_account_adds_up_the_stages_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert usage.history() == []
    for stage, flow_run, accelerators in (("pretrain", "one", 2), ("finetune", "one", 2), ("pretrain", "two", 1)):
        meter = UsageMeter(stage, flow_run, accelerators)
        meter.update()
        meter.finish()
    uses = [json.loads(path.read_text()) for path in usage.USAGE.iterdir()]
    assert len(uses) == 3
    one, two = sorted(usage.history(), key=lambda training: training.began)
    assert one.minutes == pytest.approx(sum(use["minutes"] for use in uses if use["flow_run"] == "one"))
    assert one.ended <= two.ended
    assert two.minutes > 0


def test_a_stage_that_never_was_at_work_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    UsageMeter("pretrain", "cached", 1)
    assert usage.history() == []
