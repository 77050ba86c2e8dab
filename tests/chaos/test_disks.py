"""A disk that is full."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.checks import check_all, is_fresh
from tests.chaos.conftest import ALL, Recovered, Start, work
from tests.chaos.running import GRAPH, Clock

pytestmark = [
    pytest.mark.xdist_group("chaos"),
    pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small disk"),
]


@pytest.mark.parametrize("place", [".dvc/cache", ".lmforge/prefect", ".lmforge"])
def test_a_full_disk(folder: Path, place: str, start: Start, recovered: Recovered) -> None:
    with small_disk(folder / place, megabytes=16):
        run = start(work(folder, 20), *GRAPH)
        run.says("finetune@assistant +done")
        filler = fill(folder / place)
        code = run.wait()
        assert code == 75 or run.completed() == ALL, run.output
        assert code == 0 or "no space" in run.output.lower() or "prefect-server.log" in run.output
        check_all(folder)
        is_fresh(folder, run.completed())

        filler.unlink()
        clock = Clock()
        again = start(work(folder, 0), *GRAPH)
        again.ends_well()
        recovered(f"a full disk under {place}", clock)
        check_all(folder)
        is_fresh(folder, ALL)
        assert again.started() == ALL - run.completed()


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[None]:
    """Within it the path is a disk of its own."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(disk: Path) -> Path:
    """Write a file until nothing more goes on the disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while shutil.disk_usage(disk).free:
            file.write(bytes(4096))
    return filler
