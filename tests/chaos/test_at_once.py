"""Two that want the same folder, or the same cache, at once."""

import subprocess
from contextlib import chdir
from pathlib import Path

import pytest

from flows.dvc import graph
from tests.chaos.support.checks import check_all, is_fresh
from tests.chaos.support.faults import ALL, Recovered, Start, work
from tests.chaos.support.running import GRAPH, Clock, Run

pytestmark = pytest.mark.xdist_group("chaos")

BY_HAND = ("dvc", "repro")


@pytest.mark.short
def test_two_runs(folder: Path, at_work: Run, start: Start, recovered: Recovered) -> None:
    second = start(folder, *GRAPH)
    assert second.wait() == 75, second.output
    assert "lmforge: another run is at work in this folder" in second.output
    at_work.kill()
    clock = Clock()
    check_all(folder)

    third = start(work(folder, 0), *GRAPH)
    third.ends_well()
    recovered("two runs at once", clock)
    check_all(folder)
    is_fresh(folder, ALL)


def test_dvc_by_hand_in_the_same_folder(folder: Path, start: Start, recovered: Recovered) -> None:
    run = start(work(folder, 20), *GRAPH)
    run.says("left +started")
    clock = Clock()
    by_hand = start(folder, *BY_HAND)
    assert by_hand.wait() != 0
    assert "is busy" in by_hand.output
    run.ends_well()
    recovered("`dvc repro` beside a run, same folder", clock)
    check_all(folder)
    is_fresh(folder, ALL)

    again = start(folder, *BY_HAND)
    again.ends_well()
    assert "Running stage" not in again.output
    check_all(folder)


def test_dvc_by_hand_beside_a_run_in_a_worktree(folder: Path, start: Start, recovered: Recovered) -> None:
    """As a scheduled run works: in another tree of the same repository, with the same cache."""
    tree = worktree(work(folder, 10))
    run = start(tree, *GRAPH)
    run.says("left +started")
    clock = Clock()
    by_hand = start(folder, *BY_HAND)
    by_hand.ends_well()
    run.ends_well()
    recovered("`dvc repro` beside a run in a worktree", clock)
    for place in (folder, tree):
        check_all(place)
        is_fresh(place, ALL)
    assert (folder / graph.RECORD).read_bytes() == (tree / graph.RECORD).read_bytes()


def worktree(folder: Path) -> Path:
    """A tree at the folder's commit, with its cache."""
    git = ("git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org")
    tree = folder.with_name("tree")
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "toy"], check=True)
    subprocess.run([*git, "worktree", "add", "--quiet", "--detach", str(tree)], check=True)
    with chdir(tree):
        graph.share_cache(str(folder))
    return tree
