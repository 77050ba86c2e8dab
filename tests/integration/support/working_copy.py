"""A working copy, and the commands that a person would type in it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Settings = dict[str, Any]


class WorkingCopy:
    """A working copy, and the commands that a person would type in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, *arguments: str, stderr: int | None = subprocess.STDOUT) -> "subprocess.Popen[str]":
        """Start a module, such as `flows.cli.main run` or `dvc repro`."""
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
        process = self.start("flows.cli.main", *arguments, "--json", stderr=None)
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

    def recorded_stages(self) -> dict[str, Any]:
        """The same by stage, whatever the order: a killed run leaves that in which its stages ended."""
        return dict(yaml.safe_load(self.record())["stages"])


def change(road: WorkingCopy, edit: Callable[[Settings], None]) -> None:
    """Edit the settings of a working copy."""
    path = road.folder / "params.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    edit(settings)
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def copy(source: Path, target: Path) -> WorkingCopy:
    """A copy of a working copy with all that is in it."""
    shutil.copytree(source, target, symlinks=True)
    return WorkingCopy(target)


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)
