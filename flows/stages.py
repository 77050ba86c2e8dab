"""One stage as one Prefect task: run, stream its log, kill, retry, report.

The work itself is `dvc repro -s STAGE` in a process of its own; what DVC finds unchanged it takes from its cache.
"""

import queue
import re
import signal
import subprocess
import threading
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

from components import stage
from flows import artifacts, console, dag, environment, forecast, leash, locks
from flows.progress import LiveProgress
from flows.retraining import Meter

_LOOK_EVERY = 2.0  # seconds between two looks at the progress of a silent stage
_GRACE = 3.0  # seconds from SIGTERM to SIGKILL

# What DVC says around the lines of a stage.
_CHATTER = re.compile(
    r"\s*$|> |(Updating|Generating) lock file '|To (track the changes|enable auto staging)|"
    r"\t(git add|dvc config) |Use `dvc push`|Stage '.*' (didn't change|is cached)|"
    r"ERROR: failed to reproduce|WARNING: Process '|Data and pipelines are up to date"
)

# What DVC says; the last when a stage found no space even for its own line.
_MAY_PASS = ("is busy", "No space left on device", "Disk quota exceeded", f"exited with {stage.TryAgain.code}")
_KILLED = ("exited with 137", "exited with -9")

_stopping = threading.Event()
_live: dict[int, "subprocess.Popen[str]"] = {}


class StageFailed(stage.StageError):
    """A stage ended badly: its name, its exit code, and its own line."""

    def __init__(self, name: str, code: int, line: str) -> None:
        super().__init__(f"{name}: {line}")
        self.code = code


class Stopped(Exception):
    """The run ends before this stage was started."""


class Watcher(Protocol):
    """What looks at a stage at work, every few seconds, and once more when it has ended well."""

    def update(self) -> None: ...

    def finish(self) -> None: ...


def _is_worth_another_try(_: Task[Any, Any], __: TaskRun, state: State[Any]) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, stage.StageError) and error.code == stage.TryAgain.code and not _stopping.is_set()


@task(
    task_run_name="{name}",
    cache_policy=NO_CACHE,
    retries=3,
    retry_delay_seconds=[10, 60, 300],
    retry_condition_fn=_is_worth_another_try,
)
def run_stage(name: str, fresh: bool) -> State[None]:
    """Run a stage of the graph; what is fresh already ends as `Cached` without a process.

    Raises `StageFailed` with the line and the exit code that the stage left.
    """
    if fresh:
        return _cached(name, "unchanged")
    with stage.full_disk_is_told(), _turn(name) as watchers, _shown(name):
        began = time.monotonic()
        ran = _reproduce(name, get_run_logger(), watchers)
    if not ran:
        return _cached(name, "same inputs as an earlier run")
    seconds = time.monotonic() - began
    forecast.remember(name, seconds)
    line = f"done in {seconds:.0f} s"
    console.say(name, line)
    return Completed(message=line)


@contextmanager
def supervised() -> Iterator[None]:
    """Within it stages may run; when it is left by any error or signal, none of their processes stays behind."""
    _stopping.clear()
    try:
        yield
    except BaseException:
        _stop_all()
        raise


def _stop_all() -> None:
    """End every stage that runs, with all its processes, and let none start any more."""
    _stopping.set()
    processes = list(_live.values())
    for process in processes:
        leash.signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            leash.signal_group(process, signal.SIGKILL)


def _cached(name: str, why: str) -> State[None]:
    console.say(name, f"taken from the cache ({why})")
    return Completed(name="Cached", message=f"Taken from the cache: {why}")


@contextmanager
def _turn(name: str) -> Iterator[list[Watcher]]:
    """Within it a stage may run: one with a model at work when it has the GPUs or the processor, any other at once."""
    kind = name.partition("@")[0]
    watchers: list[Watcher] = [LiveProgress(name)] if kind in dag.TRAININGS else []
    if kind not in dag.MODELS_AT_WORK:
        yield watchers
        return
    with locks.hold_accelerators(check=_wait(name)) as accelerators:
        yield [*watchers, Meter(name, str(runtime.flow_run.id), len(accelerators))]


def _wait(name: str) -> Callable[[], None]:
    """What a stage does again and again while it waits for its turn: say so, once, and look whether the run ends."""
    line = "waits: another stage or run has the processor, or the GPUs"
    said: set[str] = set()

    def look() -> None:
        _stop_if_told()
        if not said:
            said.add(line)
            console.say(name, line)
            get_run_logger().info(line)

    return look


@contextmanager
def _shown(name: str) -> Iterator[None]:
    """Whether a stage that validates ends well or not, leave its rules in the Prefect UI."""
    kind, _, table = name.partition("@")
    try:
        yield
    finally:
        if kind == "validate" and not _stopping.is_set():
            artifacts.show_validation(table)


def _stop_if_told() -> None:
    if _stopping.is_set():
        raise Stopped("the run was stopped")


def _reproduce(name: str, log: Logger | LoggerAdapter[Any], watchers: list[Watcher]) -> bool:
    """Run `dvc repro` for one stage; False when DVC took its outs from the cache."""
    (stage.STATE / "stages" / f"{name}.json").unlink(missing_ok=True)
    before = dag.digests(name)
    code, complaint, ran = _follow(name, log, watchers)
    _stop_if_told()
    if code != 0:
        raise _failure(name, complaint)
    _refuse_changed_deps(name, before)
    if not ran:
        _refuse_damaged_outs(name)
    return ran


def _follow(name: str, log: Logger | LoggerAdapter[Any], watchers: list[Watcher]) -> tuple[int, str, bool]:
    """Run the process and pass on what it says; its exit code, the error that DVC named if any, whether it began."""
    complaint, at_work = "", False
    with _process(name) as process:
        for line in _lines(process):
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
            elif not _CHATTER.match(line):
                console.say(name, line)
    for watcher in watchers if at_work and process.returncode == 0 else ():
        watcher.finish()
    return process.returncode, complaint, at_work


@contextmanager
def _process(name: str) -> Iterator["subprocess.Popen[str]"]:
    _stop_if_told()
    process = leash.start(
        "dvc",
        *("--wait-for-lock", "repro", "--single-item", name),
        env=environment.for_children(),
        output=subprocess.PIPE,
    )
    _live[process.pid] = process
    try:
        if _stopping.is_set():  # it may have been told between the check and the start
            leash.signal_group(process, signal.SIGTERM)
        yield process
        process.wait()
    finally:
        if process.poll() is None:
            leash.signal_group(process, signal.SIGKILL)
            process.wait()
        _live.pop(process.pid)


def _lines(process: "subprocess.Popen[str]") -> Iterator[str | None]:
    """The lines of a process as they come, and None when it has been silent for a while."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None
    output = process.stdout

    def pump() -> None:
        for line in output:
            lines.put(line.rstrip())
        lines.put(None)

    pumping = threading.Thread(target=pump, daemon=True)
    pumping.start()
    while True:
        try:
            line = lines.get(timeout=_LOOK_EVERY)
        except queue.Empty:
            if process.poll() is not None:  # what it left behind would keep the output open
                leash.signal_group(process, signal.SIGKILL)
            yield None
            continue
        if line is None:
            return
        yield line


def _failure(name: str, complaint: str) -> StageFailed:
    """What went wrong, in the words of the stage when it got so far, or else of DVC."""
    if (stage.STATE / "stages" / f"{name}.json").exists():
        code, line = stage.outcome(name)
        if code != 0:
            return StageFailed(name, code, line)
    if complaint.endswith(_KILLED):
        return StageFailed(name, 1, "it was killed, as the kernel does when memory runs out: free some, then run again")
    code = stage.TryAgain.code if any(words in complaint for words in _MAY_PASS) else 1
    return StageFailed(name, code, complaint or stage.outcome(name)[1])


def _refuse_changed_deps(name: str, before: dict[str, Any]) -> None:
    """DVC records deps as they are when a stage ends, so that an edit in between would count as what it read."""
    after = dag.recorded(name)
    changed = sorted(dep for dep in {*before, *after} if before.get(dep) != after.get(dep))
    if changed:
        dag.forget(name)
        line = f"{', '.join(changed)} changed while it ran, so that its result is not kept: run again"
        raise StageFailed(name, stage.TryAgain.code, line)


def _refuse_damaged_outs(name: str) -> None:
    """What DVC took from its cache has to be what it put there."""
    damaged = dag.drop_damaged(name)
    if damaged:
        line = f"DVC's cache held a damaged {' and '.join(damaged)}: it is removed there, and made again"
        raise StageFailed(name, stage.TryAgain.code, line)
