"""The files stored with a version when it is registered, so that its lineage does not depend on anyone's folder.

A dvc.lock or edits that were never committed would otherwise be lost with the next run.
docs/decisions.md, "What lineage needs is kept with the version"
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from components.core import git, params, start
from components.core.files import read_json
from components.core.recipe import BASE, PRETRAINED, evaluation, training, weights
from components.lineage import objects
from components.lineage.objects import Cache, Stages

FOLDER = "lineage"  # among the artifacts of a version
EDITS = "edits.patch"
OUTS = "outs.json"
SCORES = "scores.json"
LOSSES = "losses.parquet"
PREDICTIONS = "predictions.parquet"
SOURCES = "sources.yaml"
LISTING = "listing.json"
START = "start.json"
ENVIRONMENT = "requirements.lock"


def collect(root: Path, recipe: str) -> dict[str, bytes]:
    """The files to store with the model that `recipe` made in the repository at `root`, by name, as far as they exist.

    Also the difference of tracked files from the commit, as a patch, and the outs in dvc.lock with all their files.
    """
    reports = root / evaluation(recipe)
    files = {name: root / name for name in ("dvc.lock", "dvc.yaml", "params.yaml", ENVIRONMENT)}
    files |= {name: reports / name for name in (SCORES, LOSSES, PREDICTIONS)}
    files |= {SOURCES: root / catalogue(params.load(root / params.PARAMS)), LISTING: root / "data/listing.json"}
    files |= {START: root / start.PIN}
    files |= {f"{training(name)}.json": root / weights(name) / "training.json" for name in _trained(root, recipe)}
    kept = {name: path.read_bytes() for name, path in files.items() if path.exists()}
    edits = git.raw(root, "diff", "--binary", "HEAD")
    return kept | {OUTS: _outs(root)} | ({EDITS: edits} if edits else {})


def _trained(root: Path, recipe: str) -> Iterator[str]:
    """The recipe and, where it starts from the pretrained model, the base."""
    yield recipe
    facts = read_json(root / weights(recipe) / "training.json")
    if facts.get("base", {}).get("folder") == str(PRETRAINED):
        yield BASE


def catalogue(settings: dict[str, Any]) -> str:
    """The path of the catalogue of sources, from the content of params.yaml."""
    return str(settings.get("ingest", {}).get("sources", "data/sources.yaml"))


@dataclass(frozen=True)
class Out:
    """An out of dvc.lock: its md5, and for a folder the md5 of each file by its path within."""

    md5: str
    files: dict[str, str]


@dataclass(frozen=True)
class Kept:
    """The files stored with a version, in a folder."""

    folder: Path

    @cached_property
    def stages(self) -> Stages:
        """The stages of dvc.lock."""
        return objects.read_lock(self.folder / "dvc.lock")

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The content of params.yaml."""
        return params.load(self.folder / params.PARAMS)

    @property
    def sources(self) -> list[dict[str, Any]]:
        """The entries of the catalogue that were read: those with an accepted licence of which something is taken."""
        chosen = self.settings["ingest"]
        entries: list[dict[str, Any]] = params.load(self.folder / SOURCES)["sources"]
        return [
            entry
            for entry in entries
            if entry["license"] in chosen["licenses"] and set(entry["yields"]) & set(chosen["take"])
        ]

    @property
    def local_files(self) -> dict[str, dict[str, str]]:
        """The sha256 of the local files that were read, by source and path."""
        found: dict[str, dict[str, str]] = self._json(LISTING)
        return found

    @property
    def packages(self) -> dict[str, str]:
        """The environment: the version of each package."""
        lines = (self.folder / ENVIRONMENT).read_text().split()
        return dict(line.split("==") for line in lines if "==" in line)

    @property
    def scores(self) -> dict[str, Any]:
        """The scores of the evaluation."""
        found: dict[str, Any] = self._json(SCORES)
        return found

    @cached_property
    def outs(self) -> dict[str, Out]:
        """The outs in dvc.lock, by their paths."""
        return {path: Out(**out) for path, out in self._json(OUTS).items()}

    def trainings(self) -> dict[str, dict[str, Any]]:
        """The training.json of each stage that trained."""
        pretraining = self.folder / "pretrain.json"
        paths = [*([pretraining] if pretraining.exists() else ()), *sorted(self.folder.glob("finetune@*.json"))]
        return {path.stem: json.loads(path.read_text()) for path in paths}

    def _json(self, name: str) -> Any:
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else {}


def _outs(root: Path) -> bytes:
    """The outs in dvc.lock. The files of a folder that is not in DVC's cache are unknown."""
    cache = Cache(root)
    made = objects.outs(objects.read_lock(root / objects.LOCK))
    found = {out: {"md5": md5, "files": cache.listing(md5) if cache.holds(md5) else {}} for out, md5 in made.items()}
    return json.dumps(found, sort_keys=True).encode()
