"""The rules for the files of sources when a run begins: how old they may be, and how far from the champion's data."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from components.core import params
from components.core.errors import BadData, BadSettings
from components.core.files import read_json, write_atomically
from components.core.params import suggest
from components.data import listing
from components.data.listing import Listing
from flows.retraining import new_data
from flows.retraining.settings import FOLDER, SourceRule

KNOWN = FOLDER / "sources.json"
DAY = 24 * 60 * 60


class Arrival(NamedTuple):
    """The files of a source: the days since the newest one was written, and the drift from the champion's data."""

    source: str
    age_days: float
    drift: float | None  # None where no champion knows the source
    dimension: str  # of the drift


class BrokenRule(NamedTuple):
    """A rule that does not hold, and what was seen."""

    rule: SourceRule
    line: str

    def __str__(self) -> str:
        return f"{self.rule.severity}: {self.line}"


def check(found: Listing) -> list[str]:
    """The rules that warn, in lines; what was seen is kept for the page about the data.

    Raises `BadData` with all rules that block.
    """
    seen = arrivals(found)
    write_atomically(KNOWN, json.dumps([arrival._asdict() for arrival in seen.values()]))
    failed = list(_broken(_rules(), seen))
    blocking = [broken.line for broken in failed if broken.rule.severity == "block"]
    if blocking:
        raise BadData(f"source_rules: {'; '.join(blocking)}")
    return [broken.line for broken in failed]


def broken(found: Listing) -> list[BrokenRule]:
    """The rules that do not hold."""
    rules = _rules()
    return list(_broken(rules, arrivals(found))) if rules else []


def known() -> list[dict[str, object]]:
    """What the last run saw of the files of each source."""
    seen: list[dict[str, object]] = read_json(KNOWN) if KNOWN.exists() else []
    return seen


def arrivals(found: Listing) -> dict[str, Arrival]:
    """What there is to judge of each source with listed files."""
    now, moved = datetime.now(UTC).timestamp(), new_data.moved_by_source(found)
    seen = {}
    for source, files in found.items():
        newest = max(Path(path).stat().st_mtime for path in files)
        figure, dimension = moved.get(source, (None, ""))
        seen[source] = Arrival(source, max(0.0, now - newest) / DAY, figure, dimension)
    return seen


def _rules() -> tuple[SourceRule, ...]:
    """The rules. Raises `BadSettings` for one of a source that the catalogue lacks, or that has no files of its own."""
    content = params.load(params.PARAMS).get("source_rules") or []
    rules = params.parse(content, tuple[SourceRule, ...], f"{params.PARAMS}: source_rules")
    if not rules:
        return ()
    sources = {source.name: source for source in listing.sources()}
    for rule in rules:
        if rule.source not in sources:
            known_ones = suggest(rule.source, [*sources])
            raise BadSettings(f"params.yaml: source_rules: there is no source `{rule.source}` in use; {known_ones}")
        if not sources[rule.source].local_patterns:
            raise BadSettings(
                f"params.yaml: source_rules: `{rule.source}` is pinned, and so neither ages nor drifts: take it out"
            )
    return rules


def _broken(rules: tuple[SourceRule, ...], seen: dict[str, Arrival]) -> Iterator[BrokenRule]:
    for rule in rules:
        arrival = seen.get(rule.source)
        if arrival is None:
            yield BrokenRule(rule, f"`{rule.source}` has no file")
            continue
        if rule.max_age_days is not None and arrival.age_days > rule.max_age_days:
            limit = f"max_age_days is {rule.max_age_days:g}"
            yield BrokenRule(
                rule, f"the newest file of `{rule.source}` is {arrival.age_days:.1f} days old, and {limit}"
            )
        if rule.max_drift is not None and arrival.drift is not None and arrival.drift > rule.max_drift:
            of = f"drifted by {arrival.drift:.2f} in {arrival.dimension} from the champion's data"
            yield BrokenRule(rule, f"`{rule.source}` {of}, and max_drift is {rule.max_drift:g}")
