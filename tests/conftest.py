"""What holds for all tests, for the processes that they start, and for what their workers share.

Tiny models and their packages are made once for the tests of a worker.
"""

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# An example that takes longer than 0.2 s says that others use the machine.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# The workers of pytest have the cores: with more threads each, those of one would spin while the other works.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """What is compiled belongs to this run, and all its workers share it."""
    if not hasattr(config, "workerinput"):
        compiled = tempfile.TemporaryDirectory()
        config.add_cleanup(compiled.cleanup)
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", compiled.name)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are named by their number: archives have the time in them, and all workers have to find the same names."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs servers or whole runs belongs to a group of tests that one worker takes; long ones begin first."""
    for item in items:
        if item.get_closest_marker("xdist_group"):
            item.add_marker("services")
    items.sort(key=lambda item: item.get_closest_marker("services") is None)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as fine-tuning leaves it."""
    from tests.components.support import tiny

    return tiny.make_model(tmp_path_factory.mktemp("models") / "tiny", seed=0)


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> dict[str, Path]:
    """A model folder of each kind."""
    from tests.components.support import tiny

    folder = tmp_path_factory.mktemp("kinds")
    others = [kind for kind in tiny.KINDS if kind != "decoder"]
    return {"decoder": tiny_model} | {kind: tiny.make_model(folder / kind, seed=0, kind=kind) for kind in others}


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared data."""
    from tests.components.support import tiny

    return tiny.make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def packages(
    tmp_path_factory: pytest.TempPathFactory, tiny_models: dict[str, Path], tiny_data: Path
) -> dict[str, Path]:
    """A package of each kind of model that answers."""
    from tests.components.support import tiny

    root = tmp_path_factory.mktemp("packages")
    made = {}
    for kind in ("labels", "encoder_decoder", "original", "adapter"):
        reports = root / f"{kind}-reports"
        reports.mkdir()
        (reports / "scores.json").write_text(json.dumps(tiny.scores(kind=kind)))
        made[kind] = tiny.make_package(root / kind, tiny_models[kind], reports, tiny_data)
    return made


@pytest.fixture(scope="session")
def tiny_reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation folder's scores."""
    from tests.components.support import tiny

    folder = tmp_path_factory.mktemp("reports")
    (folder / "scores.json").write_text(json.dumps(tiny.scores(), sort_keys=True))
    return folder


@pytest.fixture(scope="session")
def tiny_package(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tiny_reports: Path, tiny_data: Path
) -> Path:
    """The package of the tiny model."""
    from tests.components.support import tiny

    return tiny.make_package(tmp_path_factory.mktemp("package") / "assistant", tiny_model, tiny_reports, tiny_data)
