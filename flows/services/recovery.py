"""Recovery of flow runs whose process died silently: training runs are restarted, the others are closed.

The same flow run continues, so that it finds its worktree and its checkpoint. Functions here raise
`requests.RequestException` when the server is unreachable.

docs/decisions.md, "Crashed trainings are started again by the supervisor, not by an automation"
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import requests

from flows.processes import environment, locks
from flows.services import service
from flows.services.prefect_api import ask

TRAININGS = ("train", "retrain-on-data")
"""The deployments whose runs are restarted after a crash."""
PAUSES = (0, 60, 300)  # seconds before each restart; there are no further restarts
MOST = len(PAUSES)

BY_HAND = locks.LOCKS / "by-hand"
"""A file for each run by hand, locked by its process: if it is not locked, the process is gone."""

_LOOKED_AT = 50  # newest runs; few of them were dropped before they began
_TAG = "restarted "
_OPEN = ("RUNNING", "PENDING", "CANCELLING")
_GRACE = timedelta(minutes=1)  # for a run that is due just now

RunRecord = dict[str, Any]


def release_lost(api: str) -> None:
    """Restart or close the open runs of this machine's worker; to be called while no worker is alive."""
    for run in _runs(api, {"state": {"type": {"any_": _OPEN}}}):
        if _is_ours(run):
            _settle(api, run)


def note_by_hand(flow_run: str) -> None:
    """Mark a run by hand as alive for other commands, for as long as this process lives."""
    locks.keep(BY_HAND / flow_run)


def close_lost(api: str) -> None:
    """Close the runs by hand of this folder whose process is gone.

    If the server is unreachable, the next command tries again.
    """
    for path in (path for path in BY_HAND.glob("*") if not locks.is_held(path)):
        with suppress(requests.RequestException):
            for run in _runs_by_id(api, path.name):
                if run["state"]["type"] in _OPEN:
                    _set_state(api, run, "CRASHED", "Crashed", "its process is gone: it was killed")
            path.unlink(missing_ok=True)


def start_crashed(api: str) -> None:
    """Restart the newest training run if it crashed; it supersedes those before it.

    A run that never began, such as one that was dropped because another was running, supersedes none.
    """
    newest = _newest_training(api)
    if newest is None or newest["state"]["type"] != "CRASHED" or not _is_ours(newest):
        return
    if restarts(newest) < MOST and _is_over(newest):
        _start_again(api, newest)


def at_work(api: str) -> list[RunRecord]:
    """The training runs that this machine's worker is running."""
    runs = _runs(api, {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}, deployments={"name": {"any_": TRAININGS}})
    return [run for run in runs if _is_ours(run)]


def set_aside(api: str, runs: Iterable[RunRecord]) -> None:
    """Reschedule training runs that were ended on purpose: they continue when a worker is available again."""
    for run in runs:
        message = "ended by `lmforge down`; it goes on from its last checkpoint when lmforge is up again"
        _schedule(api, run, message, datetime.now(UTC))


def drop_missed(api: str) -> None:
    """Cancel the runs that were due while no service was up, except the last of each deployment."""
    wanted = {
        "state": {"type": {"any_": ["SCHEDULED"]}},
        "next_scheduled_start_time": {"before_": (datetime.now(UTC) - _GRACE).isoformat()},
    }
    for run in superseded(_runs(api, wanted, sort="EXPECTED_START_TIME_DESC")):
        _set_state(api, run, "CANCELLED", "Missed", "nothing was up at that time, and a later run makes up for it")


def superseded(runs: Iterable[RunRecord]) -> Iterator[RunRecord]:
    """Of due runs, the latest first, yield the scheduled ones that a later run of their deployment follows."""
    followed = set()
    for run in runs:
        if run["auto_scheduled"] and run["run_count"] == 0 and run["deployment_id"] in followed:
            yield run
        followed.add(run["deployment_id"])


def restarts(run: RunRecord) -> int:
    """How often a run was restarted."""
    return max((int(tag.removeprefix(_TAG)) for tag in run["tags"] if tag.startswith(_TAG)), default=0)


def _runs(api: str, wanted: dict[str, Any], **more: Any) -> list[RunRecord]:
    """Runs of our work pool, the most recently started first."""
    body = {"flow_runs": wanted, "work_pools": {"name": {"any_": [service.POOL]}}, "sort": "START_TIME_DESC"} | more
    found: list[RunRecord] = ask(api, "POST", "/flow_runs/filter", body)
    return found


def _runs_by_id(api: str, flow_run: str) -> list[RunRecord]:
    """The run with this id, or no run when the server does not know it."""
    found: list[RunRecord] = ask(api, "POST", "/flow_runs/filter", {"flow_runs": {"id": {"any_": [flow_run]}}})
    return found


def _newest_training(api: str) -> RunRecord | None:
    """The newest training run that began, even if it waits to continue; Prefect gives dropped runs a start time too."""
    begun = {"start_time": {"is_null_": False}}
    runs = _runs(api, begun, deployments={"name": {"any_": TRAININGS}}, limit=_LOOKED_AT)
    return next((run for run in runs if run["run_count"]), None)


def _is_ours(run: RunRecord) -> bool:
    """Whether it belongs to this machine's worker; so does one without a worker's name, as it was never started."""
    ours = service.worker_name()
    return bool(run["labels"].get("prefect.worker.name", ours) == ours)


def _settle(api: str, run: RunRecord) -> None:
    deployment = ask(api, "GET", f"/deployments/{run['deployment_id']}")["name"]
    if run["state"]["type"] == "CANCELLING":
        _set_state(api, run, "CANCELLED", "Cancelled", "its process is gone")
    elif deployment in TRAININGS and restarts(run) < MOST:
        _start_again(api, run)
    else:
        message = "its process is gone: the worker or the machine went down"
        _set_state(api, run, "CRASHED", "Crashed", message)
        _tell(run, message)


def _is_over(run: RunRecord) -> bool:
    """Whether its process is gone. A silent process that is still there is killed, and found gone by the next check.

    It must not overlap with its successor, and its worker must have reported its end first.
    """
    with suppress(psutil.Error, TypeError):  # gone, another user's by now, or never started
        process = psutil.Process(int(run["infrastructure_pid"]))
        here = Path(process.cwd()).is_relative_to(Path.cwd())  # otherwise of the folder that this one was copied from
        if here and process.environ().get("PREFECT__FLOW_RUN_ID") == run["id"]:
            process.kill()
            return False
    return True


def _start_again(api: str, run: RunRecord) -> None:
    count = restarts(run)
    tags = [tag for tag in run["tags"] if not tag.startswith(_TAG)] + [f"{_TAG}{count + 1}"]
    ask(api, "PATCH", f"/flow_runs/{run['id']}", {"tags": tags})
    message = f"its process died; restart {count + 1} of at most {MOST}, from its last checkpoint"
    _schedule(api, run, message, datetime.now(UTC) + timedelta(seconds=PAUSES[count]))


def _schedule(api: str, run: RunRecord, message: str, when: datetime) -> None:
    _set_state(api, run, "SCHEDULED", "AwaitingRetry", message, {"scheduled_time": when.isoformat()})


def _set_state(
    api: str, run: RunRecord, kind: str, name: str, message: str, details: dict[str, Any] | None = None
) -> None:
    state = {"type": kind, "name": name, "message": message, "state_details": details or {}}
    ask(api, "POST", f"/flow_runs/{run['id']}/set_state", {"state": state})
    print(f"flow run {run['name']}: {message}", flush=True)


def _tell(run: RunRecord, message: str) -> None:
    """Send the notification, as the hooks of a flow die with its process. In a child, as it imports Prefect."""
    code = "import sys; from flows.retraining import notifications; notifications.tell('failed', *sys.argv[1:])"
    command = [sys.executable, "-c", code, f"{run['name']}: Crashed: {message}", run["id"]]
    subprocess.run(command, env=environment.for_children())
