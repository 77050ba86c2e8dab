"""Reproduces a registered version from its commit, its settings and its data, in a worktree that leaves no trace.

Every stage after the data is computed again, whatever any cache has, and compared with the version's dvc.lock. Nothing
is written to the main tree, to DVC's cache or to MLflow.

docs/decisions.md, "Reproducing computes, and stores nothing"
"""

import contextlib
import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from components.core import params, recipe, stage, start
from components.core.errors import StageError
from components.core.files import STATE
from components.core.git import git
from components.lineage import objects
from components.lineage.snapshot import EDITS, LISTING, SOURCES, START, Kept, catalogue
from components.registry import store
from components.registry.store import Version
from flows import console
from flows.dvc import graph
from flows.pipeline import dvc_process
from flows.processes import worktree

FOLDER = STATE / "reproductions"
FROZEN = "ingest"
"""The stage whose outs are taken as they are: its sources may be gone by now."""
START_STAGE = "start"
DIFFERENT = 3  # exit code


@dataclass(frozen=True)
class Outcome:
    """The result: the digest of the new weights, and the outs that differ, by stage."""

    version: Version
    digest: str
    different: Mapping[str, tuple[str, ...]]

    @property
    def identical(self) -> bool:
        """Whether the new weights are bit-identical to the registered ones."""
        return self.digest == self.version.digest

    def __str__(self) -> str:
        name = f"{self.version.name} version {self.version.number}"
        if self.identical:
            return f"{name} came out identical: sha256 {self.digest}"
        first = next(iter(self.different))
        return (
            f"{name} came out different: sha256 {self.digest}, registered is {self.version.digest}; "
            f"the first stage with other outs is {first} ({', '.join(self.different[first])})"
        )


def reproduce(name: str, ref: str, keep: bool) -> Outcome:
    """Reproduce the version that `ref` (an alias or a number) refers to; `keep` leaves the worktree in place.

    Raises `StageError` when its commit or its data are gone, or a stage fails.
    """
    version, main = store.find(name, ref), Path.cwd()
    commit, kept = store.notes(version)["git_commit"], Kept(store.kept(version).resolve())
    with made_again(main, commit, kept, keep, [recipe.stage("package", version.recipe)]) as (tree, different):
        package = tree / recipe.package(version.recipe)
        return Outcome(version, store.digest(package), different)


@contextlib.contextmanager
def made_again(
    main: Path, commit: str, kept: Kept, keep: bool, targets: Sequence[str] = (graph.PIPELINE,)
) -> Iterator[tuple[Path, dict[str, tuple[str, ...]]]]:
    """Yield a worktree in which everything was computed again, and the outs that differ, by stage."""
    with dvc_process.supervised(), _tree(main, commit, keep) as tree:
        _put_in_place(tree, kept)
        _get_data(main, tree)
        restore = partial(_restore_start, main, tree)
        yield tree, dict(_run(tree, kept, restore, targets))


@contextlib.contextmanager
def _tree(main: Path, commit: str, keep: bool) -> Iterator[Path]:
    """A worktree at a commit, removed at the end unless `keep` is set."""
    (main / FOLDER).mkdir(parents=True, exist_ok=True)
    tree = Path(tempfile.mkdtemp(prefix=f"{commit[:8]}-", dir=(main / FOLDER).resolve()))
    git(main, "worktree", "add", "--quiet", "--detach", str(tree), commit)
    console.say("worktree", f"{tree} at {commit[:10]}")
    try:
        yield tree
    finally:
        if keep:
            console.say("worktree", f"stays: `git worktree remove --force {tree}` takes it away")
        else:
            worktree.remove(main, tree)


def _put_in_place(tree: Path, kept: Kept) -> None:
    """Restore in the worktree what the version was made from: uncommitted edits, and the recorded files."""
    if (kept.folder / EDITS).exists():
        git(tree, "apply", "--whitespace=nowarn", str(kept.folder / EDITS))
    places = {name: name for name in ("dvc.lock", "dvc.yaml", "params.yaml")}
    places |= {
        SOURCES: catalogue(params.load(kept.folder / params.PARAMS)),
        LISTING: "data/listing.json",
        START: str(start.PIN),
    }
    for name, place in places.items():
        if (kept.folder / name).exists():
            (tree / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(kept.folder / name, tree / place)


def _get_data(main: Path, tree: Path) -> None:
    """Take the outs of the frozen stage from DVC's cache, or else from the remote."""
    with contextlib.chdir(tree):
        graph.share_cache(str(main))
        for out in objects.read_lock(Path(graph.RECORD))[FROZEN].outs:
            if not Path(out).exists():
                console.say(FROZEN, f"getting {out} from the remote")
                graph.pull(out)
        for stale in graph.read_plan().stale:
            console.say(stale.name, f"is not as it was: {'; '.join(stale.reasons)}")


def _restore_start(main: Path, tree: Path) -> None:
    """Put `models/start` in place: from DVC's cache, or the remote, or by making the version that it pins once more.

    So the chain of versions is walked as far as something is lost. Raises `StageError` when a version of it comes out
    different, so that what was made from it cannot be made again.
    """
    pinned = start.read(tree / start.PIN)
    files = dict(pinned.files) if pinned else {}
    cache = objects.Cache(tree)
    lost = [md5 for md5 in files.values() if not cache.path(md5).exists()]
    if lost:
        with contextlib.chdir(tree):
            graph.fetch(lost)
    lost = [name for name, md5 in files.items() if not cache.path(md5).exists()]
    if not lost or pinned is None:
        _run_stage(tree, START_STAGE)
        return
    console.say(
        START_STAGE, f"{pinned} is made again: {len(lost)} of its files are in neither DVC's cache nor a remote"
    )
    earlier = store.find(pinned.model, str(pinned.version))
    with made_again(main, store.notes(earlier)["git_commit"], Kept(store.kept(earlier).resolve()), False) as (made, _):
        for name, md5 in files.items():
            source, target = made / start.origin(name), tree / start.FOLDER / name
            if hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest() != md5:
                raise StageError(f"{start.origin(name)} of {pinned} came out different: what it began cannot be made")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    start.write(pinned, tree / start.FOLDER / start.PIN.name)


def _run(
    tree: Path, kept: Kept, restore: Callable[[], None], targets: Sequence[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Run the stages that the targets need; yields each stage with outs that differ from before, and these outs."""
    with contextlib.chdir(tree):
        names = [one.name for one in graph.read_plan(targets).stages if one.name != FROZEN]
    console.say(FROZEN, "taken as it was")
    for name in names:
        began = time.monotonic()
        with dvc_process.turn(name, check=lambda: None):
            restore() if name == START_STAGE else _run_stage(tree, name)
        made, before = objects.read_lock(tree / graph.RECORD)[name].outs, kept.stages[name].outs
        different = tuple(out for out, md5 in before.items() if made.get(out) != md5)
        verdict = f"different: {', '.join(different)}" if different else "identical"
        console.say(name, f"{verdict} ({time.monotonic() - began:.0f} s)")
        if different:
            yield name, different


def _run_stage(tree: Path, name: str) -> None:
    """Force a stage to run, without putting its outs into DVC's cache. Raises `StageError` with its error line."""
    arguments = ("repro", "--quiet", "--force", "--single-item", "--no-commit", name)
    store_uri = f"sqlite:///{tree / STATE / 'mlflow' / 'mlflow.db'}"  # of its own, whatever the environment sets
    with dvc_process.started(*arguments, folder=tree, MLFLOW_TRACKING_URI=store_uri) as process:
        for line in filter(None, dvc_process.lines(process)):
            console.say(name, line)
    if process.returncode:
        with contextlib.chdir(tree):
            code, line = stage.outcome(name)
        error = StageError(f"{name}: {line}")
        error.code = code or error.code
        raise error
