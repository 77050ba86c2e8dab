"""The log of decisions whether to train: `.lmforge/retraining/decisions.jsonl`, a line for each."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass

from flows.retraining.settings import FOLDER

DECISIONS = FOLDER / "decisions.jsonl"


@dataclass(frozen=True)
class LoggedDecision:
    """A line of the log of decisions."""

    time: str  # ISO 8601, UTC
    trigger: str
    train: bool
    reason: str
    flow_run: str
    listing: str  # digest of the listing of the data


def note(record: LoggedDecision) -> None:
    """Add a line to the log of decisions."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with DECISIONS.open("ab", buffering=0) as log:  # one write: lines of several runs never mix
        log.write(json.dumps(asdict(record), ensure_ascii=False).encode() + b"\n")


def decisions() -> list[LoggedDecision]:
    """The log, the oldest line first; a line that was cut by a full disk is skipped."""
    found = []
    for line in DECISIONS.read_text(encoding="utf-8").splitlines() if DECISIONS.exists() else ():
        with suppress(ValueError):
            found.append(LoggedDecision(**json.loads(line)))
    return found


def decision_of(flow_run: str) -> LoggedDecision | None:
    """The earlier decision for a flow run, if it has been started before."""
    return next((record for record in reversed(decisions()) if record.flow_run == flow_run), None)
