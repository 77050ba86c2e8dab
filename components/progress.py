"""Progress of long work: a bar on a terminal, plain lines elsewhere, and a file that a flow can watch."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

from tqdm import tqdm

from components.stage import STATE, write_atomically

LINE_EVERY = 10.0  # seconds between two plain lines
FILE_EVERY = 1.0  # seconds between two writes of the file

Item = TypeVar("Item")


class Progress:
    """Counts `unit`s up to `total`. The file is `.lmforge/progress/<stage>.json`."""

    def __init__(self, stage: str, total: int, unit: str, start: int = 0) -> None:
        self._path = STATE / "progress" / f"{stage}.json"
        self._total, self._unit = total, unit
        self._start = self._done = start
        self._began = self._line_at = self._file_at = time.monotonic()
        terminal = sys.stderr.isatty()
        self._bar = tqdm(desc=stage, total=total, initial=start, unit=f" {unit}", disable=not terminal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
        self._path.unlink(missing_ok=True)

    def advance(self, count: int = 1, **figures: str) -> None:
        """Add `count`, with figures to show beside it (loss, tokens/s), ready to print."""
        self._done += count
        self._bar.set_postfix(figures, refresh=False)
        self._bar.update(count)
        now = time.monotonic()
        if now - self._file_at >= FILE_EVERY:
            self._file_at = now
            write_atomically(self._path, json.dumps({**self._state(now), "figures": figures}))
        if self._bar.disable and now - self._line_at >= LINE_EVERY:
            self._line_at = now
            print(_line(self._state(now), figures), flush=True)

    def _state(self, now: float) -> dict[str, object]:
        rate = (self._done - self._start) / max(now - self._began, 1e-9)  # units a second
        eta = (self._total - self._done) / rate if rate else 0.0  # seconds
        return {"done": self._done, "total": self._total, "unit": self._unit, "rate": rate, "eta": eta}


def track(items: Iterable[Item], stage: str, total: int, unit: str) -> Iterator[Item]:
    """Pass the items on and show how many have come by."""
    with Progress(stage, total, unit) as progress:
        for item in items:
            yield item
            progress.advance()


def _line(state: dict[str, object], figures: dict[str, str]) -> str:
    pace = f"{state['rate']:.3g}/s, ETA {state['eta']:.0f} s"
    extra = "".join(f", {name} {value}" for name, value in figures.items())
    return f"{state['done']}/{state['total']} {state['unit']} ({pace}){extra}"
