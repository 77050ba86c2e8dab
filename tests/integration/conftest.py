"""A copy of this repository with the preset `smoke` and a tiny corpus, to run the whole road in."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from components.data import listing
from tests import corpus
from tests.conftest import made_once

REPOSITORY = Path(__file__).parents[2]


class Road:
    """A working copy, and the commands that a person would type in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, *arguments: str, stderr: int | None = subprocess.STDOUT) -> "subprocess.Popen[str]":
        """Start a module, such as `flows.cli run` or `dvc repro`."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))
        }
        programs = str(Path(sys.executable).parent)
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            env={**environment, "PATH": f"{programs}:{environment['PATH']}", "PYTHONPATH": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def run(self, *arguments: str) -> str:
        """Run a module to its good end; what it printed."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
        return output

    def ask(self, *arguments: str) -> Any:
        """What a command says to programs, on standard output alone."""
        process = self.start("flows.cli", *arguments, "--json", stderr=None)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output
        return json.loads(output)

    def change(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file, where it has to be."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} holds no {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def record(self) -> bytes:
        """What DVC has of all stages."""
        return (self.folder / "dvc.lock").read_bytes()


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
    road = Road(folder)
    git(folder, "init", "-q")
    road.run("flows.cli", "preset", "smoke")
    with chdir(folder):
        corpus.write(Path("corpus"), Path("data/sources.smoke.yaml"))
        listing.refresh()
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "A corpus")


@pytest.fixture(scope="session")
def finished(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Road, str]:
    """A working copy in which `lmforge run` ran once, and what that printed. It is the worker's own."""

    def make(folder: Path) -> None:
        printed = copy(fresh, folder / "lmforge").run("flows.cli", "run")
        (folder / "printed.txt").write_text(printed, encoding="utf-8")

    made = made_once(tmp_path_factory, "finished", make)
    road = copy(made / "lmforge", tmp_path_factory.mktemp("finished") / "lmforge")
    return road, (made / "printed.txt").read_text(encoding="utf-8")


def copy(source: Path, target: Path) -> Road:
    """A copy of a working copy with all that is in it."""
    shutil.copytree(source, target, symlinks=True)
    return Road(target)


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)
