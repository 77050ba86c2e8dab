"""What holds for all tests, for the processes that they start, and for what their workers share."""

import fcntl
import os
import tempfile
from collections.abc import Callable
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs servers or whole runs belongs to a group of tests that one worker takes; long ones begin first."""
    for item in items:
        if item.get_closest_marker("xdist_group"):
            item.add_marker("services")
    items.sort(key=lambda item: item.get_closest_marker("services") is None)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that all workers share: the first one that asks for it makes it, the others wait."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    made = folder.with_suffix(".made")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            make(folder)
            made.touch()
    return folder
