"""One stage as one Prefect task: run, stream its log, kill, retry, report.

The work itself is `dvc repro -s STAGE` in a child process; DVC takes unchanged results from its cache.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import Logger, LoggerAdapter
from typing import Any, Protocol

from prefect import get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed
from prefect.tasks import Task

from components.core import stage
from components.core.errors import StageError, TryAgain, reporting_full_disk
from components.core.files import STATE
from flows import console
from flows.dvc import graph
from flows.pipeline import artifacts, dvc_process, forecast
from flows.pipeline.live_progress import LiveProgress
from flows.retraining.usage import UsageMeter

# DVC's messages; the last one appears when a stage had no disk space even for its own error line.
_MAY_PASS = ("is busy", "No space left on device", "Disk quota exceeded", f"exited with {TryAgain.code}")
_KILLED = ("exited with 137", "exited with -9")


class StageFailed(StageError):
    """A stage failed; the error has the stage's name, its exit code and its own error line."""

    def __init__(self, name: str, code: int, line: str) -> None:
        super().__init__(f"{name}: {line}")
        self.code = code


class Watcher(Protocol):
    """Observes a running stage: updated every few seconds, and finished once when the stage has succeeded."""

    def update(self) -> None: ...

    def finish(self) -> None: ...


# docs/decisions.md, "Only exit code 75 is tried again"
def _is_worth_another_try(_: Task[Any, Any], __: TaskRun, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageError) and error.code == TryAgain.code and not dvc_process.is_stopping()


@task(
    task_run_name="{name}",
    # docs/decisions.md, "DVC decides, Prefect shows"
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[10, 60, 300],
    retry_condition_fn=_is_worth_another_try,
)
def run_stage(name: str, fresh: bool) -> State[None]:
    """Run a stage of the graph; a fresh stage ends as `Cached` without starting a process.

    Raises `StageFailed` with the stage's error line and exit code.
    """
    if fresh:
        return _cached(name, "unchanged")
    with reporting_full_disk(), _turn(name) as watchers, _shown(name):
        began = time.monotonic()
        ran = _reproduce(name, get_run_logger(), watchers)
    if not ran:
        return _cached(name, "same inputs as an earlier run")
    seconds = time.monotonic() - began
    forecast.remember(name, seconds)
    line = f"done in {seconds:.0f} s"
    console.say(name, line)
    return Completed(message=line)


def _cached(name: str, why: str) -> State[None]:
    console.say(name, f"taken from the cache ({why})")
    return Completed(name="Cached", message=f"Taken from the cache: {why}")


@contextmanager
def _turn(name: str) -> Iterator[list[Watcher]]:
    """A context in which a stage may run; yields its watchers."""
    watchers: list[Watcher] = [LiveProgress(name)] if graph.kind(name) in graph.TRAINING_STAGES else []
    with dvc_process.turn(name, _wait(name)) as accelerators:
        if accelerators:
            watchers.append(UsageMeter(name, str(runtime.flow_run.id), accelerators))
        yield watchers


def _wait(name: str) -> Callable[[], None]:
    """The check to repeat while a stage waits for its turn: report the wait once, and raise if the run is stopping."""
    line = "waits: another stage or run has the processor, or the GPUs"
    said: set[str] = set()

    def look() -> None:
        dvc_process.refuse_when_stopping()
        if not said:
            said.add(line)
            console.say(name, line)
            get_run_logger().info(line)

    return look


@contextmanager
def _shown(name: str) -> Iterator[None]:
    """Show the rules of a validation stage in the Prefect UI, whether it succeeds or fails."""
    kind, _, table = name.partition("@")
    try:
        yield
    finally:
        if kind == "validate" and not dvc_process.is_stopping():
            artifacts.show_validation(table)


def _reproduce(name: str, log: Logger | LoggerAdapter[Any], watchers: list[Watcher]) -> bool:
    """Run `dvc repro` for one stage; returns False when DVC took its outs from the cache."""
    (STATE / "stages" / f"{name}.json").unlink(missing_ok=True)
    before = graph.digests(name)
    code, complaint, ran = _follow(name, log, watchers)
    dvc_process.refuse_when_stopping()
    if code != 0:
        raise _failure(name, complaint)
    _refuse_changed_deps(name, before)
    if not ran:
        _refuse_damaged_outs(name)
    return ran


def _follow(name: str, log: Logger | LoggerAdapter[Any], watchers: list[Watcher]) -> tuple[int, str, bool]:
    """Run the process and log its output; returns its exit code, DVC's error if any, and whether the stage started."""
    complaint, at_work = "", False
    with dvc_process.started("--wait-for-lock", "repro", "--single-item", name) as process:
        for line in dvc_process.lines(process):
            for watcher in watchers if at_work else ():
                watcher.update()
            if line is None:
                continue
            log.info(line)
            if line.startswith("ERROR: "):
                complaint = line.removeprefix("ERROR: ")
            if line.startswith("Running stage '"):
                at_work = True
                console.say(name, "started")
            elif dvc_process.is_of_stage(line):
                console.say(name, line)
    for watcher in watchers if at_work and process.returncode == 0 else ():
        watcher.finish()
    return process.returncode, complaint, at_work


def _failure(name: str, complaint: str) -> StageFailed:
    """The error as the stage reported it, or as DVC did if the stage did not get that far."""
    if (STATE / "stages" / f"{name}.json").exists():
        code, line = stage.outcome(name)
        if code != 0:
            return StageFailed(name, code, line)
    if complaint.endswith(_KILLED):
        return StageFailed(name, 1, "it was killed, as the kernel does when memory runs out: free some, then run again")
    code = TryAgain.code if any(words in complaint for words in _MAY_PASS) else 1
    return StageFailed(name, code, complaint or stage.outcome(name)[1])


def _refuse_changed_deps(name: str, before: dict[str, Any]) -> None:
    """Raise `StageFailed` if a dep changed while the stage ran: DVC records the deps as they are at its end.

    docs/decisions.md, "Two looks at what was edited"
    """
    after = graph.recorded(name)
    changed = sorted(dep for dep in {*before, *after} if before.get(dep) != after.get(dep))
    if changed:
        graph.forget(name)
        line = f"{', '.join(changed)} changed while it ran, so that its result is not kept: run again"
        raise StageFailed(name, TryAgain.code, line)


def _refuse_damaged_outs(name: str) -> None:
    """Raise `StageFailed` if DVC took a damaged file from its cache."""
    damaged = graph.drop_damaged(name)
    if damaged:
        line = f"DVC's cache held a damaged {' and '.join(damaged)}: it is removed there, and made again"
        raise StageFailed(name, TryAgain.code, line)
