"""Lineage as terminal output: which steps read a document, what a step read, what changed."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from components.evaluation.statistics import Interval
from components.lineage.difference import Change, Data, Difference, Score
from components.lineage.exposure import Found, Sighting
from components.lineage.rows import Ids
from components.lineage.trainings import ReadRow, RecordedTraining

SHORT = 12  # digits of an id
NAMED = 12  # steps that are named one by one


def as_json(found: Any) -> Iterator[str]:
    """A dataclass, or several, for programs."""
    several = isinstance(found, list)
    content = [dataclasses.asdict(row) for row in found] if several else dataclasses.asdict(found)
    yield json.dumps(content, indent=2, ensure_ascii=False)


def document(found: Found, seconds: float) -> Iterator[str]:
    """Where a document is stored, and a line for each training run."""
    yield f"{found.kind} {found.id}"
    yield f"  {found.where}"
    yield ""
    yield from table([("training", "key", "versions", "read at"), *map(_sighting, found.sightings)])
    yield ""
    yield f"looked up in {1000 * seconds:.1f} ms"


def step(training: RecordedTraining, number: int, seen: Sequence[ReadRow], seconds: float) -> Iterator[str]:
    """What a step read, one line per row."""
    skipped = "; skipped as a spike, it changed no weight" if number in training.reading.skipped_steps else ""
    tokens = sum(row.tokens for row in seen)
    of = training.reading.steps
    yield f"{training.stage} {training.key[:SHORT]}, step {number} of {of}: {tokens} tokens{skipped}"
    yield ""
    kind = training.reading.table(number).removesuffix("s")
    yield from table([(kind, "source", "tokens"), *((row.id, row.source, str(row.tokens)) for row in seen)])
    yield ""
    yield f"looked up in {1000 * seconds:.1f} ms"


def difference(found: Difference) -> Iterator[str]:
    """What changed, part by part; a part in which nothing changed is one line."""
    old, new = found.versions
    yield f"{found.model}: version {old} → version {new}"
    code = found.code
    edits = [f"version {number} was made with edits that are in no commit" for number in code.edited]
    yield from _part("code", [*filter(None, [code.problem]), *code.commits, *code.files, *edits])
    yield from _part("settings", table([_change(change) for change in found.settings]))
    for data in found.data:
        yield from _part(data.table, _data(data))
    yield from _part("sources", [_appeared(change) for change in found.sources])
    yield from _part("environment", table([_change(change) for change in found.environment]))
    head = ("", f"version {old}", f"version {new}", "change, on what both were asked")
    yield from _part("scores", table([head, *map(_score, found.scores)]) if found.scores else [])


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows with their columns aligned."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _part(name: str, lines: Iterable[str]) -> Iterator[str]:
    lines = list(lines)
    yield f"\n{name}" + ("" if lines else ": the same")
    yield from (f"  {line}" for line in lines)


def _sighting(sighting: Sighting) -> tuple[str, str, str, str]:
    owners = [*(["this folder"] if sighting.in_tree else []), *map(str, sighting.versions)]
    return sighting.stage, sighting.key[:SHORT], ", ".join(owners), sighting.problem or _steps(sighting)


def _steps(sighting: Sighting) -> str:
    if not sighting.steps:
        return "no step"
    marked = [f"{step} (skipped)" if step in sighting.skipped else str(step) for step in sighting.steps[:NAMED]]
    more = f" and {len(sighting.steps) - NAMED} more" if len(sighting.steps) > NAMED else ""
    return f"step {', '.join(marked)}{more}, of {sighting.of}"


def _change(change: Change) -> tuple[str, str]:
    old, new = ("none" if value is None else str(value) for value in (change.old, change.new))
    return change.name, f"{old} → {new}"


def _appeared(change: Change) -> str:
    return f"{change.name} " + ("is new" if change.old is None else "is gone" if change.new is None else "changed")


def _data(data: Data) -> list[str]:
    if data.problem:
        return [data.problem]
    rows = [
        (source, _ids("added", moved.added), _ids("dropped", moved.dropped), _ids("changed", moved.changed))
        for source, moved in data.moved.items()
        if moved.added.count or moved.dropped.count or moved.changed.count
    ]
    return table(rows)


def _ids(name: str, ids: Ids) -> str:
    if not ids.count:
        return f"0 {name}"
    first = ", ".join(identity[:SHORT] for identity in ids.first)
    return f"{ids.count} {name} ({first}{', …' if ids.count > len(ids.first) else ''})"


def _score(score: Score) -> tuple[str, str, str, str]:
    change = f"{_interval(score.change, '+')} ({score.shared})" if score.change else "they were asked nothing alike"
    return score.name, _interval(score.old), _interval(score.new), change


def _interval(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return "none"
    return f"{interval.value:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"
