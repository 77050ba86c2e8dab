"""A git worktree for each scheduled run: one commit, nobody's edits, and the state that all trees share.

It is `.lmforge/worktrees/<flow run>`, so that a run which is started again finds what it left. Its own `.lmforge` holds
links to the folders of the main tree that every run uses, and folders of its own for the rest. DVC's cache is one.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from components.core.errors import BadSettings
from components.core.files import STATE
from components.data.sources.files import fixed_folder
from flows.processes import locks

TREES = STATE / "worktrees"
RUNS = STATE / "runs"
"""The reports and Data Docs of the runs that had a worktree, a folder each; and of those by hand, by a link."""
BY_HAND = "by-hand"
SHARED = (
    "datasets",
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
"""Folders of `.lmforge` that are the main tree's in every worktree."""
CHECKPOINTS = Path(".checkpoints")

KEEP = timedelta(days=7)
KEEP_MOST = 5

_AUTHOR = ("-c", "user.name=lmforge", "-c", "user.email=lmforge@localhost", "-c", "commit.gpgsign=false")


def main_tree() -> Path | None:
    """The main tree, when the current folder is the worktree of the present flow run (`flows.processes.flow_run`)."""
    here, run = Path.cwd(), os.environ.get("PREFECT__FLOW_RUN_ID")
    return here.parents[2] if here.name == run and here.parent == here.parents[2] / TREES else None


def make(main: Path, flow_run: str) -> Path:
    """The worktree of a flow run: the one that it left, or a new one at the commit that the main tree is at.

    One whose links lead elsewhere is made anew: it was left before the main tree was moved, or copied from another.
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
    """Link what git does not have of the data at relative paths or patterns: their fixed folders, or the files."""
    for pattern in patterns:
        folder = fixed_folder(pattern)
        if folder.is_absolute():
            continue
        if (main / folder).exists() and not (tree / folder).exists():  # the root is there
            _link(main / folder, tree / folder)
        for path in main.glob(pattern):
            there = tree / path.relative_to(main)
            if not there.exists():
                _link(path, there)


def remove(main: Path, tree: Path) -> None:
    """Remove a worktree, or what is left of one; what its links lead to stays."""
    if tree.exists():
        shutil.rmtree(tree)
    git(main, "worktree", "prune")


def lasting(path: Path) -> Path:
    """Where a page of the current run can be read, also when the run's worktree is gone."""
    main = main_tree()
    return (main / RUNS / Path.cwd().name if main else Path.cwd()) / path


@contextmanager
def left_at_the_end(main: Path | None) -> Iterator[None]:
    """Leave the current worktree and remove it when the body ends well; a failed run's stays, to look at and go on.

    Either way the pages that a run made for people are kept in the main tree.
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
    """Commit files on top of the current worktree's commit to a branch `runs/<date>-<digest>`, and give its name.

    No other branch moves. What was recorded under the same digest before is not recorded again.
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
    """What tells one result from another in the name of a branch."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def found(main: Path) -> list[Path]:
    """The worktrees that there are."""
    return [tree for tree in (main / TREES).iterdir() if (tree / ".git").is_file()]


def prune(main: Path, unfinished: Iterable[str], now: float) -> list[str]:
    """Remove worktrees of runs that are over, but for the newest few of the last days; gives their names."""
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


def git(root: Path, *arguments: str) -> str:
    """What git says. Raises `BadSettings` with its complaint."""
    answer = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if answer.returncode != 0:
        raise BadSettings(f"git in {root}: {' '.join(answer.stderr.split())}")
    return answer.stdout.strip()


def _link(target: Path, link: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def _drop_locks_of_git(tree: Path) -> None:
    """A run that was killed as it committed left them; nobody else works in its worktree."""
    for lock in Path(git(tree, "rev-parse", "--absolute-git-dir")).glob("*.lock"):
        lock.unlink()


def _is_at_work(tree: Path) -> bool:
    return locks.is_held(tree / locks.LOCKS / "run")
