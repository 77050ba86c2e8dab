"""Which data the champion is scored on."""

import os
from pathlib import Path

import pytest

from components.core.errors import BadData
from components.core.git import git
from flows.retraining import evaluate_champion


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A repository in which a run of some night was recorded."""
    git(tmp_path, "init", "-q", "-b", "main")
    for name, value in (("user.name", "t"), ("user.email", "t@example.org")):
        git(tmp_path, "config", name, value)
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "before")
    return tmp_path


def record(main: Path, branch: str, text: str) -> None:
    """Commit a record to a branch, and leave it."""
    git(main, "checkout", "-q", "-b", branch)
    (main / "dvc.lock").write_text(text)
    git(main, "add", "dvc.lock")
    git(main, "commit", "-q", "-m", branch)
    git(main, "checkout", "-q", "main")


def test_the_newest_record_wins(main: Path) -> None:
    with pytest.raises(BadData, match="nothing has run yet"):
        evaluate_champion.newest_record(main)
    record(main, "runs/2026-01-01-abc", "of the night\n")
    assert evaluate_champion.newest_record(main) == "of the night\n"
    (main / "dvc.lock").write_text("by hand\n")
    os.utime(main / "dvc.lock", (0, 0))
    assert evaluate_champion.newest_record(main) == "of the night\n"
    os.utime(main / "dvc.lock", (1 << 33, 1 << 33))
    assert evaluate_champion.newest_record(main) == "by hand\n"
