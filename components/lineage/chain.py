"""From a registered version back to everything that it was made from, link by link."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components import tracking
from components.core import start
from components.core.errors import BadSettings
from components.core.git import git
from components.lineage.objects import LockedStage
from components.lineage.snapshot import START, Kept
from components.registry import store
from components.registry.store import Version

SHORT = 12  # digits of a digest that are shown


@dataclass(frozen=True)
class StageRun:
    """The MLflow run of a training stage; `id` is None when MLflow does not know it."""

    stage: str
    key: str
    id: str | None


@dataclass(frozen=True)
class Commit:
    """The commit, and whether tracked files differed from it; this repository may not have it."""

    sha: str
    edited: bool
    date: str
    subject: str


@dataclass(frozen=True)
class StageDigest:
    """The sha256 of a stage's entry in dvc.lock, and the md5 of its outs."""

    name: str
    sha256: str
    outs: Mapping[str, str]


@dataclass(frozen=True)
class SourcePin:
    """A source that was read: its licence, and what pins it, a digest or the commit of a dataset."""

    name: str
    license: str
    origin: str
    pin: str


@dataclass(frozen=True)
class Lineage:
    """The whole chain of a version."""

    model: str
    version: int
    aliases: tuple[str, ...]
    digest: str  # of weights, sizes and tokenizer
    created: str
    runs: tuple[StageRun, ...]
    flow_run: str
    start: str  # the version that training went on from; empty where it began at zero
    commit: Commit
    dvc_lock_sha256: str
    stages: tuple[StageDigest, ...]
    sources: tuple[SourcePin, ...]
    environment_sha256: str  # of requirements.lock
    packages: int
    lmforge_version: str

    def to_json(self) -> str:
        """The lineage as JSON."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class Link:
    """A link of the chain as people see it: its kind, its title, and the lines below."""

    kind: str
    title: str
    lines: tuple[tuple[str, ...], ...] = ()


def read(root: Path, version: Version) -> Lineage:
    """The lineage of a version, from the registry; the commit is read from the repository at `root`, if it has it."""
    tags, kept = store.notes(version), Kept(store.kept(version))
    aliases = sorted(alias for alias, number in store.aliases(version.name).items() if number == version.number)
    return Lineage(
        model=version.name,
        version=version.number,
        aliases=tuple(aliases),
        digest=version.digest,
        created=f"{version.created:%Y-%m-%d %H:%M} UTC",
        runs=tuple(_runs(kept)),
        flow_run=tags["flow_run"],
        start=_start(kept),
        commit=_commit(root, tags["git_commit"], tags["git_dirty"] == "true"),
        dvc_lock_sha256=tags["dvc_lock_sha256"],
        stages=tuple(_digest(name, stage) for name, stage in kept.stages.items()),
        sources=tuple(_source(entry, kept.local_files.get(entry["name"], {})) for entry in kept.sources),
        environment_sha256=tags["environment_sha256"],
        packages=len(kept.packages),
        lmforge_version=tags["lmforge_version"],
    )


def links(lineage: Lineage) -> list[Link]:
    """The chain, link by link."""
    names = "".join(f" @{alias}" for alias in lineage.aliases)
    commit = lineage.commit
    edits = " and edits that are in no commit" if commit.edited else ""
    return [
        Link(
            "model version",
            f"{lineage.model} {lineage.version}{names}",
            (("sha256", lineage.digest), ("registered", lineage.created)),
        ),
        Link(
            "MLflow runs",
            f"{len(lineage.runs)} trainings",
            tuple((run.stage, run.id or "unknown to MLflow") for run in lineage.runs),
        ),
        *([Link("goes on from", lineage.start)] if lineage.start else []),
        Link("flow run", lineage.flow_run),
        Link("commit", f"{commit.sha}{edits}", ((commit.date, commit.subject),)),
        Link("dvc.lock", f"sha256 {lineage.dvc_lock_sha256}"),
        Link("stages", f"{len(lineage.stages)} stages", tuple(_stage_lines(lineage.stages))),
        Link(
            "sources",
            f"{len(lineage.sources)} sources",
            tuple((s.name, s.license, s.pin, s.origin) for s in lineage.sources),
        ),
        Link(
            "environment",
            f"requirements.lock sha256 {lineage.environment_sha256}",
            (("packages", str(lineage.packages)), ("lmforge", lineage.lmforge_version)),
        ),
    ]


def text(chain: Iterable[Link]) -> str:
    """The chain as text for a terminal."""
    return "\n  ↓\n".join("\n".join(_text(link)) for link in chain)


def _text(link: Link) -> Iterator[str]:
    yield f"{link.kind:<14} {link.title}"
    widths = [max(map(len, column)) for column in zip(*link.lines, strict=True)]
    for line in link.lines:
        yield (" " * 15 + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))).rstrip()


def _runs(kept: Kept) -> Iterator[StageRun]:
    for stage, facts in kept.trainings().items():
        yield StageRun(stage, facts["stage_key"], tracking.find(facts["stage_key"]))


def _start(kept: Kept) -> str:
    pinned = start.read(kept.folder / START)
    return str(pinned) if pinned and pinned.has_weights else ""


def _commit(root: Path, sha: str, edited: bool) -> Commit:
    try:
        date, _, subject = git(root, "log", "-1", "--format=%cs%n%s", sha).partition("\n")
    except BadSettings:
        return Commit(sha, edited, "", "this repository does not have it")
    return Commit(sha, edited, date, subject)


def _digest(name: str, stage: LockedStage) -> StageDigest:
    content = json.dumps(asdict(stage), sort_keys=True)
    return StageDigest(name, hashlib.sha256(content.encode()).hexdigest(), stage.outs)


def _stage_lines(stages: Iterable[StageDigest]) -> Iterator[tuple[str, ...]]:
    for stage in stages:
        outs = ", ".join(f"{path} {md5[:SHORT]}" for path, md5 in stage.outs.items())
        yield stage.name, stage.sha256[:SHORT], outs


def _source(entry: Mapping[str, Any], files: Mapping[str, str]) -> SourcePin:
    """The pin of a source: the sha256 of a package, the commit of a dataset, the listing's digest for local files."""
    if "project" in entry:
        origin = f"{entry['project']} {entry['version']}"
    else:
        origin = entry.get("dataset") or ", ".join(pattern["path"] for pattern in entry["files"])
    listed = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    pins = [part["sha256"] for part in (entry, *entry.get("files", ())) if "sha256" in part]
    pin = entry.get("revision") or (listed if files else ", ".join(pins))
    return SourcePin(entry["name"], entry["license"], origin, pin)
