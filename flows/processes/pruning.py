"""Retention of what runs leave in the main tree: how long it is kept, and its removal."""

import shutil
from datetime import timedelta
from pathlib import Path

from flows.processes.worktree import BY_HAND

KEPT_FOR = {
    ".checkpoints/*": timedelta(days=30),  # of training runs that were interrupted and not resumed
    ".lmforge/runs/*": timedelta(days=90),  # pages
    ".lmforge/retraining/usage/*.json": timedelta(days=90),  # the policy looks back a week, and at the last run
}


def prune(main: Path, now: float) -> list[Path]:
    """Remove what has not changed for longer than it is kept, except the newest of each kind; returns the paths."""
    old = [
        path for pattern, kept_for in KEPT_FOR.items() for path in _old(main, pattern, now - kept_for.total_seconds())
    ]
    for path in old:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return old


def _old(main: Path, pattern: str, before: float) -> list[Path]:
    found = sorted((path for path in main.glob(pattern) if path.name != BY_HAND), key=_changed)
    return [path for path in found[:-1] if _changed(path) < before]


def _changed(path: Path) -> float:
    return path.stat().st_mtime
