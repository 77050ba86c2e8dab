"""The differences between two versions: code, settings, data, sources, environment, and scores."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.core.errors import BadData, BadSettings
from components.core.git import git
from components.core.nested import flat
from components.evaluation.statistics import Interval, paired_bootstrap, paired_ratios
from components.lineage import objects, rows
from components.lineage.objects import Cache
from components.lineage.rows import Moved
from components.lineage.snapshot import LOSSES, PREDICTIONS, Kept
from components.registry import store
from components.registry.store import Version

TABLES = ("documents", "examples")
BITS = ["bytes", "document", "nats"]
ANSWERS = ["task", "example", "score", "weight"]


@dataclass(frozen=True)
class Change:
    """A value that differs; None where there is none."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Code:
    """The commits from one version to the other, and the changes to the files that stages depend on.

    `problem` is the reason why they are unknown.
    """

    commits: tuple[str, ...]
    files: tuple[str, ...]
    edited: tuple[int, ...]  # the versions that were made with uncommitted edits
    problem: str = ""


@dataclass(frozen=True)
class Data:
    """The rows of a prepared table that were added, removed or changed, by source, or the `problem` that hides them."""

    table: str
    moved: Mapping[str, Moved]
    problem: str = ""


@dataclass(frozen=True)
class Score:
    """A metric of both versions, and its difference with an interval (or None) on the rows that both were scored on."""

    name: str
    old: Interval | None
    new: Interval | None
    change: Interval | None
    shared: int  # documents or examples that both were scored on


@dataclass(frozen=True)
class Difference:
    """All differences between two versions."""

    model: str
    versions: tuple[int, int]
    code: Code
    settings: tuple[Change, ...]
    data: tuple[Data, ...]
    sources: tuple[Change, ...]
    environment: tuple[Change, ...]
    scores: tuple[Score, ...]

    def to_json(self) -> str:
        """The differences as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)


def between(root: Path, first: Version, second: Version) -> Difference:
    """What changed from one version to another, by the registry, git and DVC's cache of the repository at `root`."""
    old, new = (Kept(store.kept(version)) for version in (first, second))
    return Difference(
        model=first.name,
        versions=(first.number, second.number),
        code=_code(root, first, second, new),
        settings=tuple(changes(flat(old.settings), flat(new.settings))),
        data=tuple(_data(Cache(root), table, old, new) for table in TABLES),
        sources=tuple(changes(_by_name(old), _by_name(new))),
        environment=tuple(changes(old.packages, new.packages)),
        scores=tuple(scores(old, new)),
    )


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """The names whose values differ, in the order of the new ones."""
    for name in dict.fromkeys((*new, *old)):
        if old.get(name) != new.get(name):
            yield Change(name, old.get(name), new.get(name))


def _by_name(kept: Kept) -> dict[str, str]:
    """One line for each source: licence, pins, and the files that were listed."""
    return {
        entry["name"]: json.dumps({**entry, "listed": kept.local_files.get(entry["name"], {})}, sort_keys=True)
        for entry in kept.sources
    }


def _code(root: Path, first: Version, second: Version, new: Kept) -> Code:
    tags = [store.notes(version) for version in (first, second)]
    edited = tuple(v.number for v, tag in zip((first, second), tags, strict=True) if tag["git_dirty"] == "true")
    span = f"{tags[0]['git_commit']}..{tags[1]['git_commit']}"
    try:
        commits = git(root, "log", "--reverse", "--format=%h %s", span).splitlines()
        files = git(root, "diff", "--name-status", span, "--", *objects.inputs(new.stages), "dvc.yaml").splitlines()
    except BadSettings:
        return Code((), (), edited, f"this repository does not have both commits ({span})")
    return Code(tuple(commits), tuple(line.replace("\t", " ") for line in files), edited)


def _data(cache: Cache, table: str, old: Kept, new: Kept) -> Data:
    folders = [kept.outs["data/prepared"].files for kept in (old, new)]
    before, now = (
        {path: md5 for path, md5 in files.items() if path.startswith(f"{table}/") and path.endswith(".parquet")}
        for files in folders
    )
    both = set(before.values()) & set(now.values())
    sides = [[cache.path(md5) for md5 in files.values() if md5 not in both] for files in (before, now)]
    gone = [path for side in sides for path in side if not path.exists()]
    if gone or not all(folders):
        return Data(table, {}, "the data of one of them are no longer in DVC's cache")
    return Data(table, rows.moved(*sides))


def scores(old: Kept, new: Kept) -> Iterator[Score]:
    """The metrics of both versions, each with its change; answers count by their weights, as in the score of a task."""
    chance = {name: new.settings["evaluate"][name] for name in ("resamples", "seed", "confidence")}
    bits = [kept.scores.get("bits_per_byte", {}).get("all") for kept in (old, new)]
    if any(bits):
        pairs = rows.shared(_table(old, LOSSES, BITS), _table(new, LOSSES, BITS), BITS[:2])
        change = None
        if pairs.num_rows:
            a, b = (pairs[f"nats {side}"].to_numpy() / math.log(2) for side in ("new", "old"))
            change = paired_bootstrap(a, b, pairs["bytes"].to_numpy(), **chance)
        yield Score("bits per byte", _interval(bits[0]), _interval(bits[1]), change, pairs.num_rows)
    answers = rows.shared(_table(old, PREDICTIONS, ANSWERS), _table(new, PREDICTIONS, ANSWERS), ANSWERS[:2])
    for task in dict.fromkeys((*new.scores["tasks"], *old.scores["tasks"])):
        mine = answers.filter(pc.equal(answers["task"], task))
        change = paired_ratios(_weighted(mine, "new"), _weighted(mine, "old"), **chance) if mine.num_rows else None
        sides = [_interval(kept.scores["tasks"].get(task)) for kept in (old, new)]
        yield Score(task, sides[0], sides[1], change, mine.num_rows)


def _table(kept: Kept, name: str, columns: list[str]) -> pa.Table:
    path = kept.folder / name
    if missing := set(columns) - set(pq.read_schema(path).names):
        raise BadData(f"{path} lacks {', '.join(sorted(missing))}: an older lmforge registered the version")
    return pq.read_table(path, columns=columns)


def _weighted(answers: pa.Table, side: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The scores of a version times their weights in the score of the task, and the weights."""
    weights = answers[f"weight {side}"].to_numpy()
    return answers[f"score {side}"].to_numpy() * weights, weights


def _interval(score: Mapping[str, float] | None) -> Interval | None:
    return Interval(score["value"], score["low"], score["high"]) if score else None
