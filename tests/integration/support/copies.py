"""Working copies of this repository with the preset `smoke` and a tiny corpus: a fresh one, and one that ran once."""

import shutil
import subprocess
from contextlib import chdir
from pathlib import Path

import pytest

from components.data import listing
from tests.integration.support.working_copy import WorkingCopy, copy, git
from tests.support import corpus
from tests.support.shared import made_once

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone's files with the preset and the corpus, in which nothing has run."""
    return made_once(tmp_path_factory, "fresh", _make_fresh)


def _make_fresh(folder: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        if (REPOSITORY / name).is_file() and name != "dvc.lock":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / name)
    road = WorkingCopy(folder)
    git(folder, "init", "-q")
    road.run("flows.cli.main", "preset", "smoke")
    with chdir(folder):
        corpus.write(Path("corpus"), Path("data/sources.smoke.yaml"))
        listing.refresh()
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "A corpus")


@pytest.fixture(scope="session")
def finished(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[WorkingCopy, str]:
    """A working copy in which `lmforge run` ran once, and what that printed. It is the worker's own."""

    def make(folder: Path) -> None:
        printed = copy(fresh, folder / "lmforge").run("flows.cli.main", "run")
        (folder / "printed.txt").write_text(printed, encoding="utf-8")

    made = made_once(tmp_path_factory, "finished", make)
    road = copy(made / "lmforge", tmp_path_factory.mktemp("finished") / "lmforge")
    return road, (made / "printed.txt").read_text(encoding="utf-8")
