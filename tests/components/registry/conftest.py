"""A registry of five versions, made once, and a copy of it for each test that asks for one."""

import shutil
from pathlib import Path

import pytest

from components.registry import store
from tests.components.support import tiny
from tests.components.support.decisions import NAME
from tests.support.shared import made_once


@pytest.fixture(scope="session")
def five_versions(tmp_path_factory: pytest.TempPathFactory, tiny_package: Path) -> Path:
    """A folder with a registry of five versions, of which none has an alias."""

    def make(folder: Path) -> None:
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.delenv("MLFLOW_TRACKING_URI", raising=False)
            for number in range(5):
                store.register(tiny.vary(tiny_package, folder / f"package_{number}", number), NAME, {})

    return made_once(tmp_path_factory, "five_versions", make)


@pytest.fixture
def registry(five_versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the current folder."""
    shutil.copytree(five_versions / ".lmforge", tmp_path / ".lmforge")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path
