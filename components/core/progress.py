"""Progress of long-running work: a bar on a terminal, plain lines elsewhere, and a file that a flow can watch."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Self, TypedDict, TypeVar

from tqdm import tqdm

from components.core.files import STATE, write_atomically

LINE_EVERY = 10.0  # seconds between two plain lines
FILE_EVERY = 1.0  # seconds between two writes of the file

_BAR = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}{unit}, ETA {remaining}"

Item = TypeVar("Item")


class ProgressState(TypedDict):
    """The progress so far, as written to the file."""

    done: int
    total: int
    unit: str
    rate: float | None  # units per second
    eta: float | None  # seconds
    figures: dict[str, str]  # ready to print


class Progress:
    """Counts `unit`s up to `total`. The file is `.lmforge/progress/<stage>.json`.

    Of the processes of one stage only the first one should be shown.
    """

    def __init__(self, stage: str, total: int, unit: str, start: int = 0, *, shown: bool = True) -> None:
        self._shown = shown
        self._path = STATE / "progress" / f"{stage}.json"
        self._total, self._unit = total, unit
        self._start = self._done = start
        self._began: float | None = None
        self._line_at = self._file_at = time.monotonic()
        self._bar = tqdm(
            desc=stage,
            total=total,
            initial=start,
            unit=f" {unit}",
            bar_format=_BAR,
            dynamic_ncols=True,
            disable=not (shown and sys.stderr.isatty()),
        )
        self._figures = tqdm(bar_format="{desc}", dynamic_ncols=True, leave=False, disable=self._bar.disable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._figures.close()
        self._bar.close()
        if self._shown:
            self._path.unlink(missing_ok=True)

    def advance(self, count: int = 1, **figures: str) -> None:
        """Add `count`, with metrics to show next to it (loss, tokens/s), ready to print."""
        now = time.monotonic()
        self._done += count
        if self._began is None:  # the first step may compile or fill caches, and would spoil the rate
            self._start, self._began = self._done, now
        if not self._shown:
            return
        if self._bar.update(count):  # the bar was redrawn
            self._figures.set_description_str(_listed(figures))
        if now - self._file_at >= FILE_EVERY:
            self._file_at = now
            write_atomically(self._path, json.dumps(self._state(now, figures)))
        if self._bar.disable and now - self._line_at >= LINE_EVERY:
            self._line_at = now
            print(_line(self._state(now, figures)), flush=True)

    @property
    def rate(self) -> float | None:
        """Units per second so far, without the first step."""
        return self._rate(time.monotonic())

    def _rate(self, now: float) -> float | None:
        if self._began is None or self._done == self._start:
            return None
        return (self._done - self._start) / max(now - self._began, 1e-9)

    def _state(self, now: float, figures: dict[str, str]) -> ProgressState:
        rate = self._rate(now)
        return ProgressState(
            done=self._done,
            total=self._total,
            unit=self._unit,
            rate=rate,
            eta=(self._total - self._done) / rate if rate else None,
            figures=figures,
        )


def track(items: Iterable[Item], stage: str, total: int, unit: str) -> Iterator[Item]:
    """Pass the items on and show how many there were."""
    with Progress(stage, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def _line(state: ProgressState) -> str:
    line = f"{state['done']}/{state['total']} {state['unit']}"
    if state["rate"] is not None and state["eta"] is not None:
        line += f", {state['rate']:.3g}/s, ETA {timedelta(seconds=round(state['eta']))}"
    return line + (f"; {_listed(state['figures'])}" if state["figures"] else "")


def _listed(figures: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items())
