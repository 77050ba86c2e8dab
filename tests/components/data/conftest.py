"""Every test of data runs in a folder of its own, as a stage runs in the repository."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _in_folder(folder: Path) -> None:
    """It is the current one."""
