"""Contenders side by side: each in a process of its own, taking turns, so that a drift of the machine cancels out."""

import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

Turn = Callable[[], None]
"""Ends a turn of a contender, and waits for its next one; the code between two calls is timed."""


class Contender:
    """A process that trains in turns: `work(turn, *arguments)` calls `turn` whenever it has done the steps of one."""

    def __init__(self, name: str, work: Callable[..., None], arguments: Sequence[Any], cache: Path) -> None:
        self.name = name
        spawn = multiprocessing.get_context("spawn")
        self._here, self._there = spawn.Pipe()
        self._process: SpawnProcess = spawn.Process(
            target=_run, args=(self._there, work, arguments, cache), daemon=True
        )

    def start(self) -> float:
        """Run its first turn; returns the seconds from the start of the process to its end, compilation included."""
        began = time.perf_counter()
        self._process.start()
        self._there.close()  # otherwise the end of the process would go unnoticed
        self._answer()
        return time.perf_counter() - began

    def turn(self) -> float:
        """Run one turn; returns its seconds."""
        self._here.send(None)
        return self._answer()

    def _answer(self) -> float:
        try:
            seconds: float = self._here.recv()
        except EOFError:
            sys.exit(f"{self.name} ended too early: see above")
        return seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()


def _run(there: Connection, work: Callable[..., None], arguments: Sequence[Any], cache: Path) -> None:
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)  # its own and empty, so that compiling is timed
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    began = time.perf_counter()

    def turn() -> None:
        nonlocal began
        there.send(time.perf_counter() - began)
        there.recv()
        began = time.perf_counter()

    work(turn, *arguments)


@dataclass
class Times:
    """Times of one contender: the seconds of its first turn, from the start of its process, and of the counted ones."""

    first: float
    turns: list[float] = field(default_factory=list)

    def rate(self, amount: float) -> float:
        """Its rate per second, by the median of its turns, when a turn does `amount`."""
        return amount / statistics.median(self.turns)


def race(contenders: Sequence[Contender], rounds: int, after_round: Callable[[], None]) -> dict[str, Times]:
    """Run all contenders and return their times. One warm-up round is not counted."""
    with ExitStack() as stack:
        times = {}
        for contender in contenders:
            stack.enter_context(contender)
            times[contender.name] = Times(contender.start())
            print(f"  {contender.name}: started and compiled after {times[contender.name].first:.1f} s", flush=True)
        for number in range(rounds + 1):
            turns = {contender.name: contender.turn() for contender in contenders}
            after_round()
            if number:
                for name, seconds in turns.items():
                    times[name].turns.append(seconds)
                listed = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in turns.items())
                print(f"  round {number} of {rounds}: {listed}", flush=True)
        return times


def ratio(slower: Times, faster: Times) -> tuple[float, float, float]:
    """The speed-up, round by round: median, least and most."""
    ratios = [theirs / ours for theirs, ours in zip(slower.turns, faster.turns, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


class Reporting:
    """An observer of the training loop that calls a function with each row."""

    def __init__(self, report: Callable[[int, dict[str, float]], None]) -> None:
        self.log = report

    def text(self, name: str, text: str) -> None:
        """Ignored."""
