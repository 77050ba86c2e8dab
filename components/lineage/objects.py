"""DVC's records and cache as plain files: `dvc.lock`, and a cache in which each object is named by its md5.

https://dvc.org/doc/user-guide/project-structure/internal-files#structure-of-the-cache-directory
"""

import configparser
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core import params

LOCK = Path("dvc.lock")
FOLDER = ".dir"  # the suffix of a folder's md5


@dataclass(frozen=True)
class LockedStage:
    """The entry of a stage in dvc.lock: its command, and the md5 of each dep and out by its path."""

    command: str
    deps: dict[str, str]
    outs: dict[str, str]


Stages = dict[str, LockedStage]
"""By their names, in the order of dvc.lock."""


def read_lock(path: Path) -> Stages:
    """The stages of a dvc.lock by their names, in its order."""
    return {name: _stage(entry) for name, entry in params.load(path).get("stages", {}).items()}


def outs(stages: Stages) -> dict[str, str]:
    """The md5 of every out, by its path."""
    return {path: md5 for stage in stages.values() for path, md5 in stage.outs.items()}


def inputs(stages: Stages) -> list[str]:
    """The deps that no stage produces: code, and the listings of the data."""
    made = outs(stages)
    return sorted({dep for stage in stages.values() for dep in stage.deps if not _within(dep, made)})


def upstream(stages: Stages, out: str) -> Stages:
    """The stages that an out comes from, in their order; empty when no stage produces it."""
    needed, found = {out}, set[str]()
    while more := {name for name, stage in stages.items() if name not in found and set(stage.outs) & needed}:
        found |= more
        deps = {dep for name in more for dep in stages[name].deps}
        needed |= {made for made in outs(stages) for dep in deps if _within(dep, [made])}
    return {name: stage for name, stage in stages.items() if name in found}


def _within(path: str, folders: Iterable[str]) -> bool:
    """Whether a path is one of the folders or lies in one."""
    return any(Path(path).is_relative_to(folder) for folder in folders)


class Cache:
    """DVC's cache of the repository at `root`, read only, at the location in the repository's own settings."""

    def __init__(self, root: Path) -> None:
        self._folder = _cache_dir(root / ".dvc") / "files" / "md5"

    def path(self, md5: str) -> Path:
        """The path of an object, if it exists."""
        return self._folder / md5[:2] / md5[2:]

    def listing(self, md5: str) -> dict[str, str]:
        """The md5 of each file in a folder that exists, by its path within."""
        return {entry["relpath"]: entry["md5"] for entry in json.loads(self.path(md5).read_text())}

    def holds(self, md5: str) -> bool:
        """Whether there is a folder with this md5."""
        return md5.endswith(FOLDER) and self.path(md5).exists()

    def missing(self, md5: str) -> Iterator[str]:
        """The missing objects of a file, or of a folder with all its files."""
        if not self.path(md5).exists():
            yield md5
        elif md5.endswith(FOLDER):
            yield from (part for part in self.listing(md5).values() if not self.path(part).exists())


def _stage(entry: dict[str, Any]) -> LockedStage:
    deps, made = ({part["path"]: part["md5"] for part in entry.get(kind, [])} for kind in ("deps", "outs"))
    return LockedStage(entry.get("cmd", ""), deps, made)


def _cache_dir(dvc: Path) -> Path:
    """`cache.dir` of .dvc/config.local or else of .dvc/config, which is relative to that folder."""
    config = configparser.ConfigParser(interpolation=None)
    config.read([dvc / "config", dvc / "config.local"])
    return dvc / config.get("cache", "dir", fallback="cache")
