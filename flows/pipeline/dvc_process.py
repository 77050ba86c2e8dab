"""`dvc repro` of one stage in a process of its own: its turn, its lines as they come, and its end with the run."""

import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.dvc import graph
from flows.processes import child, environment, locks

_LOOK_EVERY = 2.0  # seconds after which a silent process gives None for a line
_GRACE = 3.0  # seconds from SIGTERM to SIGKILL

# What DVC prints around the lines of a stage.
_CHATTER = re.compile(
    r"\s*$|> |(Updating|Generating) lock file '|To (track the changes|enable auto staging)|"
    r"\t(git add|dvc config) |Use `dvc push`|Stage '.*' (didn't change|is cached)|"
    r"ERROR: failed to reproduce|WARNING: Process '|Data and pipelines are up to date"
)

_stopping = threading.Event()
_live: dict[int, "subprocess.Popen[str]"] = {}


class Stopped(Exception):
    """The run ends before this stage was started."""


@contextmanager
def supervised() -> Iterator[None]:
    """Within it stages may run; when it is left by any error or signal, none of their processes stays behind."""
    _stopping.clear()
    try:
        yield
    except BaseException:
        _stop_all()
        raise


def is_stopping() -> bool:
    """Whether the run ends, so that no stage may start any more."""
    return _stopping.is_set()


def refuse_when_stopping() -> None:
    """Raise `Stopped` when the run ends."""
    if _stopping.is_set():
        raise Stopped("the run was stopped")


@contextmanager
def turn(name: str, check: Callable[[], None]) -> Iterator[int]:
    """Within it a stage may run; gives the number of accelerators that it holds.

    An exclusive stage waits until all of them are free, and `check` is called meanwhile; any other holds none.
    """
    if graph.kind(name) not in graph.EXCLUSIVE_STAGES:
        yield 0
        return
    with locks.hold_accelerators(check) as accelerators:
        yield accelerators


@contextmanager
def started(*arguments: str, folder: Path = Path(), **more: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of `dvc` in a folder, with more environment variables; it does not outlive the body."""
    refuse_when_stopping()
    env = environment.for_children(**more)
    process = child.start("dvc", *arguments, env=env, output=subprocess.PIPE, folder=folder)
    _live[process.pid] = process
    try:
        if _stopping.is_set():  # it may have been set between the check and the start
            child.signal_group(process, signal.SIGTERM)
        yield process
        process.wait()
    finally:
        if process.poll() is None:
            child.signal_group(process, signal.SIGKILL)
            process.wait()
        _live.pop(process.pid)


def lines(process: "subprocess.Popen[str]") -> Iterator[str | None]:
    """The lines of a process as they come, and None when it has been silent for a while."""
    waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    assert process.stdout is not None
    output = process.stdout

    def pump() -> None:
        for line in output:
            waiting.put(line.rstrip())
        waiting.put(None)

    threading.Thread(target=pump, daemon=True).start()
    while True:
        try:
            line = waiting.get(timeout=_LOOK_EVERY)
        except queue.Empty:
            if process.poll() is not None:  # what it left behind would keep the output open
                child.signal_group(process, signal.SIGKILL)
            yield None
            continue
        if line is None:
            return
        yield line


def is_of_stage(line: str) -> bool:
    """Whether a line is the stage's own, and not one that DVC prints around it."""
    return not _CHATTER.match(line)


def _stop_all() -> None:
    """End every stage that runs, with all its processes, and let none start any more."""
    _stopping.set()
    processes = list(_live.values())
    for process in processes:
        child.signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.signal_group(process, signal.SIGKILL)
