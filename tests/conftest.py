"""What holds for all tests, for the processes that they start, and for what their workers share."""

import os
import tempfile

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
