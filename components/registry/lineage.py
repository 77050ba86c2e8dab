"""Where a model comes from: the tags that lead from a registered version back to code, data and settings."""

import hashlib
import importlib.metadata
import json
import subprocess
from pathlib import Path

from components import params
from components.stage import BadData

LOCK = Path("dvc.lock")
RUN_FIRST = "run the pipeline first (`lmforge run` or `dvc repro`)"


def tags(root: Path, recipe: str, flow_run: str) -> dict[str, str]:
    """The tags of the model that `recipe` made in the repository at `root`, in the flow run `flow_run`.

    `stage_key` leads to the MLflow run that trained it. Raises `BadData` when dvc.lock does not know the model.
    """
    outs = _outs(root / LOCK)
    return {
        "git_commit": _git(root, "rev-parse", "HEAD"),
        "git_dirty": str(is_dirty(root)).lower(),
        "dvc_lock_sha256": hashlib.sha256((root / LOCK).read_bytes()).hexdigest(),
        "data_md5": _md5(outs, "data/prepared"),
        "tokenizer_md5": _md5(outs, "models/tokenizer"),
        "weights_md5": _md5(outs, f"models/finetuned/{recipe}"),
        "params_digest": params_digest(root / params.PARAMS),
        "stage_key": json.loads((root / "models/finetuned" / recipe / "training.json").read_text())["stage_key"],
        "flow_run": flow_run,
        "lmforge_version": importlib.metadata.version("lmforge"),
    }


def is_dirty(root: Path) -> bool:
    """Whether a tracked file differs from the commit, apart from dvc.lock: it has a tag of its own."""
    return bool(_git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", f":!{LOCK}"))


def params_digest(path: Path) -> str:
    """sha256 of the values in a settings file: comments and the order of keys do not count."""
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


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()
