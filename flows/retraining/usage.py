"""How long stages used the processor or the GPUs: `.lmforge/retraining/usage`, a file for each stage of each run."""

import json
import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from components.core.files import write_atomically
from flows.retraining.policy import PastTraining
from flows.retraining.settings import FOLDER

USAGE = FOLDER / "usage"

_WRITE_EVERY = 10.0  # seconds


def history() -> list[PastTraining]:
    """All training runs, from the records of their stages' use of the processor or the GPUs."""
    uses: dict[str, list[dict[str, Any]]] = {}
    for path in USAGE.glob("*.json"):
        with suppress(FileNotFoundError):
            use = json.loads(path.read_text())
            uses.setdefault(use["flow_run"], []).append(use)
    return [
        PastTraining(
            began=min(_time(use["began"]) for use in run),
            ended=max(_time(use["ended"]) for use in run),
            minutes=sum(use["minutes"] for use in run),
        )
        for run in uses.values()
    ]


class UsageMeter:
    """Records how long a stage uses the processor or the GPUs, while it runs: a killed stage counts as well."""

    def __init__(self, stage: str, flow_run: str, accelerators: int) -> None:
        self._stage, self._flow_run, self._accelerators = stage, flow_run, accelerators
        self._began, self._start = datetime.now(UTC), time.monotonic()
        self._path = USAGE / f"{time.time_ns()}-{os.getpid()}.json"
        self._written = -_WRITE_EVERY

    def update(self) -> None:
        """Record the use up to now, unless that was done a moment ago."""
        if time.monotonic() - self._written >= _WRITE_EVERY:
            self._write()

    def finish(self) -> None:
        """Record the total use."""
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
