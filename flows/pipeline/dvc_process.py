"""Runs `dvc repro` for one stage in a child process: waits for its turn, streams its output, ends it with the run."""

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

_LOOK_EVERY = 2.0  # seconds of silence after which `lines` yields None
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
    """The run is stopping, so this stage was not started."""


@contextmanager
def supervised() -> Iterator[None]:
    """A context in which stages may run; on any error or signal all of their processes are ended."""
    _stopping.clear()
    try:
        yield
    except BaseException:
        _stop_all()
        raise


def is_stopping() -> bool:
    """Whether the run is stopping, so that no further stage may start."""
    return _stopping.is_set()


def refuse_when_stopping() -> None:
    """Raise `Stopped` if the run is stopping."""
    if _stopping.is_set():
        raise Stopped("the run was stopped")


@contextmanager
def turn(name: str, check: Callable[[], None]) -> Iterator[int]:
    """A context in which a stage may run; yields the number of accelerators that it holds.

    An exclusive stage waits until all of them are free, calling `check` meanwhile; any other stage holds none.
    """
    if graph.kind(name) not in graph.EXCLUSIVE_STAGES:
        yield 0
        return
    with locks.hold_accelerators(check) as accelerators:
        yield accelerators


@contextmanager
def started(*arguments: str, folder: Path = Path(), **more: str) -> Iterator["subprocess.Popen[str]"]:
    """Start `dvc` in a folder, with additional environment variables; the process does not outlive the context."""
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
    """Yield the output lines of a process as they arrive, and None when it has been silent for a while."""
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
            if process.poll() is not None:  # its leftover children would keep the output open
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
    """End every running stage with all its processes, and let no further one start."""
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
