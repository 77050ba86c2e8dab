"""A git worktree for each scheduled run: one commit, no local edits, and the state that all trees share.

Its path is `.lmforge/worktrees/<flow run>`, so that a restarted run finds what it left. Its own `.lmforge` holds links
to the folders of the main tree that every run uses, and folders of its own for the rest. All trees use one DVC cache.

docs/decisions.md, "A scheduled run works in a git worktree at one commit"
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from components.core.files import STATE
from components.core.git import git
from components.data.sources.files import fixed_folder
from flows.processes import locks

TREES = STATE / "worktrees"
RUNS = STATE / "runs"
"""Reports and Data Docs: a folder for each run that had a worktree, and links for the runs by hand."""
BY_HAND = "by-hand"
SHARED = (
    "datasets",
    "cache",
    "downloads",
    "inductor",
    "ledger",
    "listing",
    "metrics",
    "mlflow",
    "noise",
    "pace",
    "packages",
    "prefect",
    "retraining",
    "services",
)
"""Folders of `.lmforge` that every worktree shares with the main tree."""
CHECKPOINTS = Path(".checkpoints")

KEEP = timedelta(days=7)
KEEP_MOST = 5

_AUTHOR = ("-c", "user.name=lmforge", "-c", "user.email=lmforge@localhost", "-c", "commit.gpgsign=false")


def main_tree() -> Path | None:
    """The main tree if the current folder is the worktree of this flow run (`flows.processes.flow_run`), or None."""
    here, run = Path.cwd(), os.environ.get("PREFECT__FLOW_RUN_ID")
    return here.parents[2] if here.name == run and here.parent == here.parents[2] / TREES else None


def make(main: Path, flow_run: str) -> Path:
    """The worktree of a flow run: the one that it left, or a new one at the current commit of the main tree.

    One whose links point elsewhere is recreated: the main tree was moved since, or copied from another folder.
    """
    tree = main / TREES / flow_run
    if (tree / STATE / SHARED[0]).resolve() == (main / STATE / SHARED[0]).resolve():  # the state folder is made last
        _drop_locks_of_git(tree)
        return tree
    remove(main, tree)
    git(main, "worktree", "add", "--quiet", "--force", "--force", "--detach", str(tree), "HEAD")
    part = Path(f"{STATE}.part")
    links = {CHECKPOINTS: CHECKPOINTS} | {part / name: STATE / name for name in SHARED}
    for link, target in links.items():
        (main / target).mkdir(parents=True, exist_ok=True)
        _link(main / target, tree / link)
    (tree / part).rename(tree / STATE)
    return tree


def link_data(main: Path, tree: Path, patterns: Iterable[str]) -> None:
    """Link the data at relative paths or patterns that git does not track: their fixed folders, or the files."""
    for pattern in patterns:
        folder = fixed_folder(pattern)
        if folder.is_absolute():
            continue
        if (main / folder).exists() and not (tree / folder).exists():  # the root always exists
            _link(main / folder, tree / folder)
        for path in main.glob(pattern):
            there = tree / path.relative_to(main)
            if not there.exists():
                _link(path, there)


def remove(main: Path, tree: Path) -> None:
    """Remove a worktree, or what is left of one; the targets of its links stay."""
    if tree.exists():
        shutil.rmtree(tree)
    git(main, "worktree", "prune")


def lasting(path: Path) -> Path:
    """Where a page of the current run can be read even after the run's worktree is gone."""
    main = main_tree()
    return (main / RUNS / Path.cwd().name if main else Path.cwd()) / path


@contextmanager
def left_at_the_end(main: Path | None) -> Iterator[None]:
    """Leave and remove the current worktree if the body succeeds; that of a failed run stays, to inspect and resume.

    In both cases the run's pages (reports, Data Docs) are kept in the main tree.
    """
    try:
        yield
    finally:
        if main is not None:
            _keep_pages()
    if main is not None:
        tree = Path.cwd()
        os.chdir(main)
        remove(main, tree)


def _keep_pages() -> None:
    for path in filter(Path.is_file, [*Path("reports").glob("*"), *(STATE / "data-docs").glob("**/*")]):
        lasting(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, lasting(path))


def commit(files: Sequence[Path], digest: str, message: str, today: date) -> str:
    """Commit files on top of the current worktree's commit to a branch `runs/<date>-<digest>`, and return its name.

    No other branch moves. A result that was recorded under the same digest before is not recorded again.
    """
    known = git(Path.cwd(), "branch", "--list", "--format=%(refname:short)", f"runs/*-{digest}").split()
    if known:
        return known[0]
    branch = f"runs/{today:%Y-%m-%d}-{digest}"
    git(Path.cwd(), "add", "--force", "--", *map(str, files))
    git(Path.cwd(), *_AUTHOR, "commit", "--quiet", "--no-verify", "--allow-empty", "--message", message)
    git(Path.cwd(), "branch", branch)
    return branch


def short_digest(path: Path) -> str:
    """A short digest of a file, which identifies a result in the name of a branch."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def found(main: Path) -> list[Path]:
    """All existing worktrees of flow runs."""
    return [tree for tree in (main / TREES).iterdir() if (tree / ".git").is_file()]


def prune(main: Path, unfinished: Iterable[str], now: float) -> list[str]:
    """Remove worktrees of finished runs, except the newest few of the last days; returns their names."""
    trees = sorted(found(main), key=lambda tree: tree.stat().st_mtime, reverse=True)
    over = [tree for tree in trees if tree.name not in set(unfinished) and not _is_at_work(tree)]
    old = [
        tree
        for place, tree in enumerate(over)
        if place >= KEEP_MOST or now - tree.stat().st_mtime > KEEP.total_seconds()
    ]
    for tree in old:
        remove(main, tree)
    return [tree.name for tree in old]


def _link(target: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def _drop_locks_of_git(tree: Path) -> None:
    """Remove git's lock files, left by a run that was killed while it committed; no one else uses its worktree."""
    for lock in Path(git(tree, "rev-parse", "--absolute-git-dir")).glob("*.lock"):
        lock.unlink()


def _is_at_work(tree: Path) -> bool:
    return locks.is_held(tree / locks.LOCKS / "run")
