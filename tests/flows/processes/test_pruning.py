"""What old runs left is removed, and nothing else."""

import os
from pathlib import Path

import pytest

from flows.processes import pruning
from flows.processes.worktree import BY_HAND, RUNS

NOW, DAY = 1e9, 24 * 3600


def make(path: Path, days: float) -> Path:
    """A folder, or a file where the name has a suffix, that changed last so many days ago."""
    if path.suffix:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    else:
        (path / "inside").mkdir(parents=True)
    os.utime(path, (NOW - days * DAY,) * 2)
    return path


@pytest.mark.parametrize(
    ("names", "days"),
    [
        ([".checkpoints/a", ".checkpoints/b", ".checkpoints/c"], 30),
        ([str(RUNS / name) for name in "abc"], 90),
        ([f".lmforge/retraining/usage/{name}.json" for name in "abc"], 90),
    ],
)
def test_what_is_old_goes(tmp_path: Path, names: list[str], days: int) -> None:
    old, recent, new = (make(tmp_path / name, age) for name, age in zip(names, (days + 1, days - 1, 0), strict=True))
    assert pruning.prune(tmp_path, NOW) == [old]
    assert [path.exists() for path in (old, recent, new)] == [False, True, True]


def test_the_newest_stays_and_the_link_of_runs_by_hand(tmp_path: Path) -> None:
    kept = [make(tmp_path / name, 400) for name in (".checkpoints/a", str(RUNS / "a"), str(RUNS / BY_HAND))]
    assert pruning.prune(tmp_path, NOW) == []
    assert all(path.exists() for path in kept)


def test_there_may_be_nothing(tmp_path: Path) -> None:
    assert pruning.prune(tmp_path, NOW) == []
