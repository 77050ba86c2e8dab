"""Faults are injected into runs that are at work; what happened, and how long recovery took, is told at the end.

`LMFORGE_CHAOS_REPEAT=10` injects each of them ten times.
"""

import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.support.faults import Recovered, Start, work
from tests.chaos.support.running import GRAPH, Clock, Run
from tests.flows.support import toy

HERE = Path(__file__).parent
REPEAT = "LMFORGE_CHAOS_REPEAT"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("chaos")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    times = int(os.environ.get(REPEAT, "1"))
    if times > 1:
        metafunc.fixturenames.append("repetition")
        metafunc.parametrize("repetition", range(times))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line for each fault: how often it was injected, and how long recovery took."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name.startswith("recovered from "):
                seconds[name.removeprefix("recovered from ")].append(value)
    if seconds:
        terminalreporter.section("recovery")
    for fault, times in sorted(seconds.items()):
        spread = f"{statistics.median(times):5.1f} s ({min(times):.1f} to {max(times):.1f})"
        terminalreporter.line(f"{fault:<52} {len(times):>3} times  {spread}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the toy pipeline."""
    return toy.make(tmp_path)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a module in a folder; nothing of it outlives the test."""
    runs: list[Run] = []

    def begin(folder: Path, *module: str, **settings: Any) -> Run:
        runs.append(Run(folder, *module, **settings))
        return runs[-1]

    yield begin
    for run in runs:
        family = run.family()
        run.kill()
        for process in family:
            process.wait(15)


@pytest.fixture
def at_work(folder: Path, start: Start) -> Run:
    """A run that has finished some stages and is in the midst of `left`, for long."""
    run = start(work(folder, 200), *GRAPH)
    run.says("finetune@assistant +done")
    run.member("toy.py", "left", "out/left.txt")
    return run


@pytest.fixture
def recovered(request: pytest.FixtureRequest) -> Recovered:
    """Note that all was well again: the fault, and the clock that was started with it."""

    def note(fault: str, clock: Clock) -> None:
        request.node.user_properties.append((f"recovered from {fault}", clock.seconds()))

    return note
