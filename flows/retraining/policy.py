"""The policy of automatic retraining: a pure function of the request, the past and the settings."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from flows.retraining.settings import Retraining

BY_HAND = "by hand"
CALENDAR = "calendar"
DATA = "data"
DRIFT = "drift"
BUDGET_OF = timedelta(days=7)


@dataclass(frozen=True)
class Request:
    """Why a training run is requested, and the metrics of the data at that time.

    A trigger of automatic retraining begins with the word `calendar`, `data` or `drift`; any other is a user's.
    """

    trigger: str
    new_tokens: int  # estimated, since the last training run
    drift: float  # 0 if unknown

    def __str__(self) -> str:
        figures = {DATA: f"{DATA}: +{self.new_tokens:,} tokens", DRIFT: f"{DRIFT}: {self.drift:.2f}"}
        return figures.get(self.trigger, self.trigger)

    @property
    def kind(self) -> str:
        """The kind of trigger: `calendar`, `data`, `drift` or `by hand`."""
        word = self.trigger.split(" ")[0].rstrip(":")
        return word if word in (CALENDAR, DATA, DRIFT) else BY_HAND


@dataclass(frozen=True)
class PastTraining:
    """An earlier run as the policy sees it."""

    began: datetime
    ended: datetime
    minutes: float  # of CPU or accelerators


@dataclass(frozen=True)
class TrainDecision:
    """Whether to train, and why, or why not."""

    train: bool
    reason: str


def decide(request: Request, history: Iterable[PastTraining], settings: Retraining, now: datetime) -> TrainDecision:
    """Whether to train now. A user is never refused; the calendar, new data and drift are subject to the settings.

    `history` holds every training run of the last seven days, and the last one before them, those by hand too.
    """
    if request.kind == BY_HAND:
        return TrainDecision(True, "started by hand")
    trainings = sorted(history, key=lambda training: training.ended)
    refusals = (
        _too_little(request, settings),
        _too_alike(request, settings),
        _too_soon(trainings, settings, now),
        _too_dear(trainings, settings, now),
    )
    reason = next((refusal for refusal in refusals if refusal), None)
    if reason:
        return TrainDecision(False, reason)
    left = settings.budget_minutes - spent(trainings, now)
    return TrainDecision(True, f"{left:.0f} of {settings.budget_minutes:.0f} minutes of this week's budget are left")


def spent(history: Iterable[PastTraining], now: datetime) -> float:
    """The minutes of the training runs that ended in the last seven days."""
    return sum(training.minutes for training in history if training.ended > now - BUDGET_OF)


def _too_little(request: Request, settings: Retraining) -> str | None:
    if request.kind != DATA or request.new_tokens >= settings.min_new_tokens:
        return None
    return f"below min_new_tokens {settings.min_new_tokens:,}"


def _too_alike(request: Request, settings: Retraining) -> str | None:
    if request.kind != DRIFT or request.drift > settings.max_drift:
        return None
    return f"the drift is {request.drift:.2f}, not above max_drift {settings.max_drift:g}"


def _too_soon(trainings: list[PastTraining], settings: Retraining, now: datetime) -> str | None:
    if not trainings:
        return None
    passed = (now - trainings[-1].ended).total_seconds() / 60
    if passed >= settings.cooldown_minutes:
        return None
    return f"the last training ended {passed:.0f} minutes ago, within the cooldown of {settings.cooldown_minutes:g}"


def _too_dear(trainings: list[PastTraining], settings: Retraining, now: datetime) -> str | None:
    """The reason to refuse if the budget is too small: the next run is assumed to cost what the last one did."""
    last = trainings[-1].minutes if trainings else 0.0
    left = settings.budget_minutes - spent(trainings, now)
    if last <= left and left > 0:
        return None
    return (
        f"{max(left, 0):.0f} of {settings.budget_minutes:.0f} minutes of this week's budget are left, "
        f"the last run took {last:.0f}"
    )
