"""How often the documents of each source are read: the plan of a training run, and what its rows are by that plan.

A plan tells for each phase how many windows it reads of each source. The rows of a phase are these windows in a
shuffled order; the windows of a source follow an endless shuffle of their own, which goes on from phase to phase.
docs/decisions.md, "A mixture of sources is a plan of windows"
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from components.core.errors import BadSettings
from components.training.data.windows import order, places
from components.training.settings import Mixture

SETTING = "params.yaml: pretrain.mixture"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a training run: the number of windows of each source that its rows are, and of those read before."""

    windows: tuple[tuple[str, int], ...]
    before: tuple[int, ...]  # in the order of `windows`

    @property
    def rows(self) -> int:
        """The number of its rows."""
        return sum(count for _, count in self.windows)


Phases = tuple[Phase, ...]
Sizes = Mapping[str, int]
"""Windows of each source."""


def plan(settings: Mixture, sizes: Sizes, languages: Mapping[str, str], rows: int) -> Phases:
    """The phases of a training run of so many rows. `languages` has the main language of each source.

    Raises `BadSettings` for a source that has no documents, or more epochs than rows.
    """
    _check_names(settings, sizes)
    last_rows = 0 if settings.last_phase is None else round(rows * settings.last_phase.share)
    last = _divided(last_rows, _wanted(settings.last_phase.weights, sizes) if settings.last_phase else {})
    fixed = {name: round(epochs * sizes[name]) - last.get(name, 0) for name, epochs in settings.epochs.items()}
    free = rows - last_rows - sum(fixed.values())
    wanted = {name: size for name, size in sizes.items() if name not in fixed}
    weights = {name: settings.weights.get(name, 1.0) for name in wanted}
    wanted_now = _wanted(weights, wanted, languages, settings.language_temperature)
    _check_room(fixed, free, any(wanted_now.values()), rows)
    first = fixed | _divided(free, wanted_now)
    counts = [first, last] if last_rows else [first]
    names = [name for name in sizes if any(count.get(name) for count in counts)]
    phases, before = [], dict.fromkeys(names, 0)
    for count in counts:
        windows = tuple((name, count.get(name, 0)) for name in names)
        phases.append(Phase(windows=windows, before=tuple(before.values())))
        before = {name: before[name] + number for name, number in windows}
    return tuple(phases)


def rows_at(read: np.ndarray, phases: Phases, sizes: Sizes, seed: int) -> list[tuple[str, int]]:
    """The source, and the number of the window in it, of the rows at some places of the run."""
    return [_row_at(int(place), phases, sizes, seed) for place in read]


def places_of(source: str, windows: np.ndarray, phases: Phases, sizes: Sizes, seed: int, end: int) -> np.ndarray:
    """The inverse of `rows_at`: the places before `end` where windows of a source are read."""
    found = [np.arange(0)]
    for first, phase, last in _spans(phases):
        number = [name for name, _ in phase.windows].index(source) if source in dict(phase.windows) else None
        if number is None or not phase.windows[number][1]:
            continue
        visits = -(-(phase.before[number] + phase.windows[number][1]) // sizes[source])
        visited = places(windows, visits, sizes[source], seed).ravel() - phase.before[number]
        inside = visited[(visited >= 0) & (visited < phase.windows[number][1])]
        items = inside + sum(count for _, count in phase.windows[:number])
        stop = end - first if last is None else min(end, last) - first
        if stop > 0 and len(items):
            own = places(items, -(-stop // phase.rows), phase.rows, seed).ravel()
            found.append(first + own[own < stop])
    return np.concatenate(found)


def lines(phases: Phases, sizes: Sizes, length: int) -> Iterator[str]:
    """A line for each source: the tokens that are read of it, its share, and how often each document is read."""
    rows = sum(phase.rows for phase in phases)
    for number, (source, _) in enumerate(phases[0].windows):
        counts = [phase.windows[number][1] for phase in phases]
        last = f", {counts[-1] / phases[-1].rows:.1%} of the last phase" if len(phases) > 1 else ""
        yield (
            f"{source}: {sum(counts) * length:,} tokens, {sum(counts) / rows:.1%} of all{last}, "
            f"{sum(counts) / sizes[source]:.2f} epochs"
        )


def _row_at(place: int, phases: Phases, sizes: Sizes, seed: int) -> tuple[str, int]:
    first, phase, _ = next(span for span in _spans(phases) if span[2] is None or place < span[2])
    item = int(order(np.array([place - first]), phase.rows, seed)[0])
    for (source, count), before in zip(phase.windows, phase.before, strict=True):
        if item < count:
            return source, int(order(np.array([before + item]), sizes[source], seed)[0])
        item -= count
    raise AssertionError("the counts of a phase add up to its rows")


def _spans(phases: Phases) -> Iterator[tuple[int, Phase, int | None]]:
    """Each phase with its first place and the place after its last; a rollback lets the last one go on for longer."""
    first = 0
    for number, phase in enumerate(phases):
        yield first, phase, None if number + 1 == len(phases) else first + phase.rows
        first += phase.rows


def _wanted(
    weights: Mapping[str, float], sizes: Sizes, languages: Mapping[str, str] | None = None, temperature: float = 1.0
) -> dict[str, float]:
    """The relative number of windows of each source: by its size and weight, and by that of its language."""
    wanted = {name: weight * sizes[name] for name, weight in weights.items()}
    if languages is None or temperature == 1:
        return wanted
    totals: dict[str, float] = {}
    for name, number in wanted.items():
        totals[languages[name]] = totals.get(languages[name], 0.0) + number
    return {
        name: number and number * totals[languages[name]] ** (1 / temperature - 1) for name, number in wanted.items()
    }


def _divided(rows: int, wanted: Mapping[str, float]) -> dict[str, int]:
    """Rows divided in given proportions, by largest remainders."""
    total = sum(wanted.values())
    exact = {name: rows * number / total for name, number in wanted.items() if number} if rows > 0 else {}
    whole = {name: int(number) for name, number in exact.items()}
    most = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    return whole | {name: whole[name] + 1 for name in most[: max(0, rows - sum(whole.values()))]}


def _check_names(settings: Mixture, sizes: Sizes) -> None:
    last = settings.last_phase.weights if settings.last_phase else {}
    for section, names in {"epochs": settings.epochs, "weights": settings.weights, "last_phase.weights": last}.items():
        for name in names:
            if name not in sizes:
                raise BadSettings(f"{SETTING}.{section}: no documents of {name} to train on, but of {', '.join(sizes)}")


def _check_room(fixed: Mapping[str, int], free: int, others: bool, rows: int) -> None:
    for name, count in fixed.items():
        if count < 0:
            raise BadSettings(f"{SETTING}.epochs.{name}: the last phase reads more of it: raise this, or lower that")
    if free < 0:
        raise BadSettings(
            f"{SETTING}.epochs: they need {rows - free:,} rows, and the run has {rows:,}: lower them, or raise steps"
        )
    if free and not others:
        raise BadSettings(f"{SETTING}: {free:,} rows are left, and no source for them: raise epochs, or give a weight")
