"""When a model is trained again without being asked: the settings, the policy, and what was decided and spent.

The policy is a pure function. What it looks back on lies in `.lmforge/retraining`, which all worktrees share:
`decisions.jsonl`, a line for each decision, and `usage/`, a file for each stage that had the processor or the GPUs.
"""

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, MinLen

from components.stage import STATE, write_atomically

FOLDER = STATE / "retraining"
DECISIONS = FOLDER / "decisions.jsonl"
USAGE = FOLDER / "usage"

BY_HAND = "by hand"
CALENDAR = "calendar"
DATA = "data"
DRIFT = "drift"
BUDGET_OF = timedelta(days=7)

_WRITE_EVERY = 10.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Notify:
    """Who is told of failures, of promotions, and of models that wait for approval; None is nobody."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    command: Annotated[tuple[str, ...], MinLen(1)] | None  # a program and its arguments; the message is one more
    webhook: str | None  # an address that takes a POST of JSON


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """The section `retraining` of `params.yaml`."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}

    cron: str | None
    watch_minutes: Annotated[float, Gt(0)]  # between two looks at the files of the sources
    min_new_tokens: Annotated[int, Ge(0)]
    max_drift: Annotated[float, Gt(0)]  # population stability index
    cooldown_minutes: Annotated[float, Ge(0)]  # from the end of a training to the next
    budget_minutes: Annotated[float, Gt(0)]  # of CPU or, added up, of accelerators, in any seven days
    overlap: Literal["queue", "drop"]
    veto_minutes: Annotated[float, Ge(0)]  # from the gate's yes to the promotion
    notify: Notify


@dataclass(frozen=True)
class Request:
    """Why a training is wanted, and the figures that the data show at that time.

    A trigger begins with the word `calendar`, `data` or `drift`; whatever else it says, a person asks.
    """

    trigger: str
    new_tokens: int  # estimated, since the last training
    drift: float  # 0 where nothing is known

    def __str__(self) -> str:
        figures = {DATA: f"{DATA}: +{self.new_tokens:,} tokens", DRIFT: f"{DRIFT}: {self.drift:.2f}"}
        return figures.get(self.trigger, self.trigger)

    @property
    def kind(self) -> str:
        """What asks: `calendar`, `data`, `drift` or `by hand`."""
        word = self.trigger.split(" ")[0].rstrip(":")
        return word if word in (CALENDAR, DATA, DRIFT) else BY_HAND


@dataclass(frozen=True)
class Training:
    """An earlier run as the policy sees it."""

    began: datetime
    ended: datetime
    minutes: float  # of CPU or accelerators


@dataclass(frozen=True)
class Decision:
    """Whether to train, and why, or why not."""

    train: bool
    reason: str


def decide(request: Request, history: Iterable[Training], settings: Retraining, now: datetime) -> Decision:
    """Whether to train now. A person is never refused; the calendar, new data and drift keep to the settings.

    `history` holds every run that trained in the last seven days, and the last one before them, those by hand too.
    """
    if request.kind == BY_HAND:
        return Decision(True, "asked for by hand")
    trainings = sorted(history, key=lambda training: training.ended)
    refusals = (
        _too_little(request, settings),
        _too_alike(request, settings),
        _too_soon(trainings, settings, now),
        _too_dear(trainings, settings, now),
    )
    reason = next((refusal for refusal in refusals if refusal), None)
    if reason:
        return Decision(False, reason)
    left = settings.budget_minutes - spent(trainings, now)
    return Decision(True, f"{left:.0f} of {settings.budget_minutes:.0f} minutes of this week's budget are left")


def spent(history: Iterable[Training], now: datetime) -> float:
    """The minutes of the trainings that ended in the last seven days."""
    return sum(training.minutes for training in history if training.ended > now - BUDGET_OF)


def _too_little(request: Request, settings: Retraining) -> str | None:
    if request.kind != DATA or request.new_tokens >= settings.min_new_tokens:
        return None
    return f"below min_new_tokens {settings.min_new_tokens:,}"


def _too_alike(request: Request, settings: Retraining) -> str | None:
    if request.kind != DRIFT or request.drift > settings.max_drift:
        return None
    return f"the drift is {request.drift:.2f}, not above max_drift {settings.max_drift:g}"


def _too_soon(trainings: list[Training], settings: Retraining, now: datetime) -> str | None:
    if not trainings:
        return None
    passed = (now - trainings[-1].ended).total_seconds() / 60
    if passed >= settings.cooldown_minutes:
        return None
    return f"the last training ended {passed:.0f} minutes ago, within the cooldown of {settings.cooldown_minutes:g}"


def _too_dear(trainings: list[Training], settings: Retraining, now: datetime) -> str | None:
    """The next training is taken to cost what the last one did."""
    last = trainings[-1].minutes if trainings else 0.0
    left = settings.budget_minutes - spent(trainings, now)
    if last <= left and left > 0:
        return None
    return (
        f"{max(left, 0):.0f} of {settings.budget_minutes:.0f} minutes of this week's budget are left, "
        f"the last run took {last:.0f}"
    )


@dataclass(frozen=True)
class Record:
    """A line of the log of decisions."""

    time: str  # ISO 8601, UTC
    trigger: str
    train: bool
    reason: str
    flow_run: str
    listing: str  # digest of the listing of the data


def note(record: Record) -> None:
    """Add a line to the log of decisions."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with DECISIONS.open("ab", buffering=0) as log:  # one write: lines of several runs never mix
        log.write(json.dumps(asdict(record), ensure_ascii=False).encode() + b"\n")


def decisions() -> list[Record]:
    """The log, the oldest line first; one that was cut by a full disk is passed over."""
    found = []
    for line in DECISIONS.read_text(encoding="utf-8").splitlines() if DECISIONS.exists() else ():
        with suppress(ValueError):
            found.append(Record(**json.loads(line)))
    return found


def decision_of(flow_run: str) -> Record | None:
    """What was decided of a flow run, when it was begun before."""
    return next((record for record in reversed(decisions()) if record.flow_run == flow_run), None)


def history() -> list[Training]:
    """The runs that trained, from the time that their stages had the processor or the GPUs."""
    uses: dict[str, list[dict[str, Any]]] = {}
    for path in USAGE.glob("*.json"):
        with suppress(FileNotFoundError):
            use = json.loads(path.read_text())
            uses.setdefault(use["flow_run"], []).append(use)
    return [
        Training(
            began=min(_time(use["began"]) for use in run),
            ended=max(_time(use["ended"]) for use in run),
            minutes=sum(use["minutes"] for use in run),
        )
        for run in uses.values()
    ]


class Meter:
    """Notes how long a stage has the processor or the GPUs, as it goes on: what a kill ends counts as well."""

    def __init__(self, stage: str, flow_run: str, accelerators: int) -> None:
        self._stage, self._flow_run, self._accelerators = stage, flow_run, accelerators
        self._began, self._start = datetime.now(UTC), time.monotonic()
        self._path = USAGE / f"{time.time_ns()}-{os.getpid()}.json"
        self._written = -_WRITE_EVERY

    def update(self) -> None:
        """Note it up to now, unless that was done a moment ago."""
        if time.monotonic() - self._written >= _WRITE_EVERY:
            self._write()

    def finish(self) -> None:
        """Note the whole of it."""
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        seconds = self._written - self._start
        use = {
            "stage": self._stage,
            "flow_run": self._flow_run,
            "began": self._began.isoformat(),
            "ended": (self._began + timedelta(seconds=seconds)).isoformat(),
            "minutes": seconds / 60 * self._accelerators,
        }
        write_atomically(self._path, json.dumps(use))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
