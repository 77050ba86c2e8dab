"""Where a model comes from: the tags that lead from a registered version back to code, data and settings."""

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from components.core import params, start
from components.core.errors import BadData
from components.core.files import read_json, sha256
from components.core.git import git
from components.core.recipe import package, weights
from components.lineage import objects

LOCK = Path("dvc.lock")
ENVIRONMENT = Path("requirements.lock")
RECORDS = (LOCK, Path("data/listing.json"), start.PIN)
"""Tracked files that a run writes: their content is stored with the version, committed or not."""
RUN_FIRST = "run the pipeline first (`lmforge run` or `dvc repro`)"


def tags_of(root: Path, recipe: str, flow_run: str) -> dict[str, str]:
    """The tags of the model that `recipe` made in the repository at `root`, in the flow run `flow_run`.

    `stage_key` leads to the MLflow run that trained it. Raises `BadData` when dvc.lock does not have the model.
    """
    outs = _outs(root / LOCK)
    return {
        "git_commit": git(root, "rev-parse", "HEAD"),
        "git_dirty": str(is_dirty(root)).lower(),
        "dvc_lock_sha256": sha256(root / LOCK),
        "data_md5": _md5(outs, "data/prepared"),
        "weights_md5": _md5(outs, str(weights(recipe))),
        "params_digest": params_digest(root / params.PARAMS),
        "stage_key": read_json(root / weights(recipe) / "training.json")["stage_key"],
        "flow_run": flow_run,
        "lmforge_version": importlib.metadata.version("lmforge"),
        **({"tokenizer_md5": outs["models/tokenizer"]} if "models/tokenizer" in outs else {}),
        **({"environment_sha256": sha256(root / ENVIRONMENT)} if (root / ENVIRONMENT).exists() else {}),
    }


def is_dirty(root: Path) -> bool:
    """Whether a tracked file differs from the commit, apart from what a run writes itself."""
    return bool(edited(root))


def edited(root: Path) -> list[str]:
    """The tracked files that differ from the commit, apart from what a run writes itself."""
    return git(root, "diff", "--name-only", "HEAD", "--", ".", *(f":!{record}" for record in RECORDS)).splitlines()


def missing(root: Path, recipe: str, in_remote: Callable[[Sequence[str]], Collection[str]] = lambda _: ()) -> list[str]:
    """The gaps in the lineage of the recipe's model, each in words; empty when it is complete.

    Edits that are in no commit, code that git does not have, and data of dvc.lock that DVC's cache does not have.
    `in_remote` returns which of some md5 a remote has. Raises `BadData` when dvc.lock does not have the model.
    """
    stages = objects.upstream(objects.read_lock(root / LOCK), str(package(recipe)))
    if not stages:
        raise BadData(f"{LOCK} has no {package(recipe)}: {RUN_FIRST}")
    made = objects.outs(stages)
    code = objects.inputs(stages)
    untracked = git(root, "ls-files", "--others", "--exclude-standard", "--", *code).splitlines()
    absent = {out: list(objects.Cache(root).missing(md5)) for out, md5 in made.items()}
    there = set(in_remote([md5 for parts in absent.values() for md5 in parts])) if any(absent.values()) else set()
    lost = [out for out, parts in absent.items() if set(parts) - there]
    return [
        *(f"{path} differs from the commit" for path in edited(root)),
        *(f"{path} is not in git" for path in untracked),
        *(f"{out} is neither in DVC's cache nor in a remote" for out in lost),
    ]


def params_digest(path: Path) -> str:
    """sha256 of the values in a settings file: comments and the order of keys are ignored."""
    content = json.dumps(params.load(path), sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()


def _outs(lock: Path) -> dict[str, str]:
    """The md5 of every out in a dvc.lock, by path."""
    if not lock.exists():
        raise BadData(f"{lock.name} is not there: {RUN_FIRST}")
    return {out["path"]: out["md5"] for stage in params.load(lock)["stages"].values() for out in stage.get("outs", [])}


def _md5(outs: dict[str, str], path: str) -> str:
    if path not in outs:
        raise BadData(f"{LOCK} has no {path}: {RUN_FIRST}")
    return outs[path]
