"""`lmforge status`: status of the services, runs in progress and due next, and the live model."""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psutil
import requests

from components.core.errors import StageError
from components.core.files import STATE
from components.core.recipe import model_name
from components.registry import store
from flows.cli import doctor
from flows.retraining import decision_log
from flows.services import answering, network, recovery, service, state
from flows.services.prefect_api import ask

_SILENT_AFTER = 120.0  # seconds; a worker sends a heartbeat every 30
_UPCOMING = 3


@dataclass(frozen=True)
class Line:
    """The result of one check, and whether it is good."""

    name: str
    seen: str
    good: bool = True

    def __str__(self) -> str:
        return f"{'ok ' if self.good else 'BAD'} {self.name:<12} {self.seen}"


def look(names: Sequence[str]) -> list[Line]:
    """Run all checks; without a supervisor there are only a few."""
    supervisor = state.read()
    lines = [*_of_services(supervisor)]
    if supervisor:
        lines += _of_runs(f"{supervisor['services']['prefect']['url']}/api")
    lines += map(_champion, map(model_name, names))
    return [*lines, *served(), *_last_decision(), _disk()]


def memory(pid: int) -> float:
    """Megabytes that a process and its descendants use; what several share counts once (PSS)."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for member in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                total += member.memory_full_info().pss / 1e6
    return total


def _of_services(supervisor: Mapping[str, Any]) -> Iterator[Line]:
    if not supervisor:
        yield Line("services", "are starting" if state.is_up() else "are not up: `lmforge up` starts them", False)
        return
    everything = psutil.Process(supervisor["pid"]).memory_full_info().pss / 1e6
    for name, entry in supervisor["services"].items():
        used = memory(entry["pid"]) if entry["pid"] else 0.0
        everything += used
        yield _of_service(name, entry, used)
    since = _time(supervisor["since"])
    yield Line("supervisor", f"pid {supervisor['pid']}, since {since}; all together {everything:.0f} MB")


def _of_service(name: str, entry: Mapping[str, Any], used: float) -> Line:
    if entry["pid"] is None and not (entry["url"] and network.answers(entry["url"] + entry["health"])):
        return Line(name, f"is being started again, {_times(entry['restarts'] + 1)}: see {_log(name)}", False)
    if entry["url"] and not network.answers(entry["url"] + entry["health"]):
        return Line(name, f"does not answer at {entry['url']}: see {_log(name)}", False)
    where = f"{entry['page']}, " if entry["page"] else ""
    if entry["pid"] is None:
        return Line(name, f"{where}not started by `lmforge up`")
    again = f", started again {_times(entry['restarts'])}" if entry["restarts"] else ""
    return Line(name, f"{where}pid {entry['pid']}, since {_time(entry['since'])}{again}, {used:.0f} MB")


def _of_runs(api: str) -> Iterator[Line]:
    try:
        recovery.close_lost(api)
        yield from _workers(api)
        yield from _running(api)
        yield from _upcoming(api)
    except requests.RequestException as error:
        yield Line("runs", f"Prefect does not tell ({type(error).__name__})", False)


def _workers(api: str) -> Iterator[Line]:
    for worker in ask(api, "POST", f"/work_pools/{service.POOL}/workers/filter", {}):
        silent = (datetime.now(UTC) - _parse(worker["last_heartbeat_time"])).total_seconds()
        ours = worker["name"] == service.worker_name()
        yield Line("heartbeat", f"of {worker['name']} {silent:.0f} s ago", silent < _SILENT_AFTER or not ours)


def _running(api: str) -> Iterator[Line]:
    body = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}, "sort": "START_TIME_DESC"}
    runs = ask(api, "POST", "/flow_runs/filter", body)
    for run in runs:
        since = f", since {_local(run['start_time'])}" if run["start_time"] else ""
        yield Line("running", f"{run['name']} ({run['state']['name']}{since})")
    if not runs:
        yield Line("running", "nothing")


def _upcoming(api: str) -> Iterator[Line]:
    body = {
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "NEXT_SCHEDULED_START_TIME_ASC",
        "limit": _UPCOMING,
    }
    names = {known["id"]: known["name"] for known in ask(api, "POST", "/deployments/filter", {})}
    for run in ask(api, "POST", "/flow_runs/filter", body):
        yield Line(
            "next", f"{names.get(run['deployment_id'], run['name'])} at {_local(run['next_scheduled_start_time'])}"
        )


def _champion(model: str) -> Line:
    try:
        aliases = store.aliases(model)
    except StageError as error:
        return Line("champion", str(error), False)
    if store.CHAMPION not in aliases:
        return Line("champion", f"{model} has none yet")
    others = "".join(f", @{alias} {number}" for alias, number in sorted(aliases.items()) if alias != store.CHAMPION)
    return Line("champion", f"{model} version {aliases[store.CHAMPION]}{others}")


def served() -> Iterator[Line]:
    """What the servers of models of this folder answer with, and what could not take over."""
    for address in answering.addresses():
        try:
            ready = network.read_json(f"{address}/ready")
        except (OSError, ValueError):
            yield Line("serve", f"does not answer at {address}", False)
            continue
        if ready["registry"]:
            yield Line("serve", f"{address} cannot read the registry: {ready['registry']}", False)
        for name, model in ready["models"].items():
            yield _of_model(address, name, model)
            yield from _of_challenger(name, model["challenger"])


def _of_model(address: str, name: str, model: Mapping[str, Any]) -> Line:
    now = f"answers with {name} version {model['version']}" if model["version"] else f"waits for a champion of {name}"
    if model["failure"]:
        return Line("serve", f"{address} {now}; {model['failure']['reason']}", False)
    return Line("serve", f"{address} {now}")


def _of_challenger(name: str, challenger: Mapping[str, Any] | None) -> Iterator[Line]:
    """What a challenger does beside the champion, and how the two compare."""
    if challenger is None:
        return
    what = f"{name} version {challenger['version']}"
    if challenger["problem"]:
        yield Line("challenger", f"{what}: {challenger['problem']}", False)
    elif canary := challenger["canary"]:
        counts = f"{canary['answered']} so far, {canary['failed']} failed"
        yield Line("challenger", f"{what} answers {canary['share']:.1%} of the requests: {counts}")
    if shadow := challenger["shadow"]:
        yield Line("shadow", f"{what} {_compared(shadow)}")


def _compared(comparison: Mapping[str, Any]) -> str:
    if not comparison["answers"]:
        return f"was asked {comparison['requests']} requests beside the champion, and failed in {comparison['failed']}"
    sides = [comparison[side] for side in ("champion", "challenger")]
    seconds, characters, refused = (
        " and ".join(form.format(side[name]) for side in sides)
        for name, form in (("seconds", "{:.3f}"), ("characters", "{:.0f}"), ("refused", "{:.1%}"))
    )
    return (
        f"agrees in {comparison['agreement']:.1%} of {comparison['answers']} answers; champion and challenger take "
        f"{seconds} s, write {characters} characters, refuse {refused}; labels differ by "
        f"{comparison['label_difference']:.1%}; {comparison['failed']} failed"
    )


def _last_decision() -> Iterator[Line]:
    """The last decision whether to train."""
    for record in decision_log.decisions()[-1:]:
        yield Line("decision", f"{record.time} {record.trigger}: {record.reason}")


def _disk() -> Line:
    free = shutil.disk_usage(".").free / 1e9
    return Line("disk", f"{free:.0f} GB free", free >= doctor.NEEDED_GB)


def _log(name: str) -> str:
    return str(STATE / "logs" / f"{name}-server.log")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _local(text: str) -> str:
    return _time(_parse(text).timestamp())


def _parse(text: str) -> datetime:
    return datetime.fromisoformat(text)
