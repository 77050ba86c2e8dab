"""A registry with versions of a decoder and of an encoder that labels, and a server of both."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.core.recipe import model_name
from components.registry import store
from components.tasks import prompts
from tests.components.support import serving, tiny
from tests.components.support.serving import LABELLER, WRITER


@pytest.fixture(scope="session")
def served_packages(
    tmp_path_factory: pytest.TempPathFactory,
    packages: dict[str, Path],
    tiny_package: Path,
    tiny_data: Path,
    tiny_reports: Path,
) -> dict[str, list[Path]]:
    """Two packages of a decoder with different weights, and one of an encoder; all were taught tasks."""
    folder = tmp_path_factory.mktemp("served")
    other = tiny.make_package(folder / "other", tiny.make_model(folder / "model", seed=1), tiny_reports, tiny_data)
    taught = {"tasks": [task.definition() for task in tiny.TASKS.values()], prompts.BUDGET: 60}
    found = {WRITER: [tiny_package, other], LABELLER: [packages["labels"]]}
    made: dict[str, list[Path]] = {}
    for recipe, originals in found.items():
        for number, original in enumerate(originals):
            copy = Path(shutil.copytree(original, folder / f"{recipe}-{number}"))
            (copy / "training.json").write_text(json.dumps(taught))
            made.setdefault(recipe, []).append(copy)
    return made


@pytest.fixture(scope="module")
def registry(
    tmp_path_factory: pytest.TempPathFactory, migrated_store: str, served_packages: dict[str, list[Path]]
) -> Iterator[None]:
    """A folder whose registry has them: version 1 of each is champion, and version 2 of the decoder the challenger."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", migrated_store)
        patch.chdir(tmp_path_factory.mktemp("folder"))
        for recipe, found in served_packages.items():
            for package in found:
                store.register(package, model_name(recipe), {})
        serving.point(WRITER, 1, 2)
        serving.point(LABELLER, 1)
        yield


@pytest.fixture(scope="module")
def address(registry: None) -> Iterator[str]:  # noqa: ARG001
    """The address of a server of both."""
    with serving.running([WRITER, LABELLER]) as found:
        for recipe in (WRITER, LABELLER):
            serving.await_version(found, recipe, 1)
        yield found
