"""A disk that is full."""

import os
from pathlib import Path

import pytest

from tests.chaos.support.checks import check_all, is_fresh
from tests.chaos.support.faults import ALL, Recovered, Start, fill, small_disk, work
from tests.chaos.support.running import GRAPH, Clock

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
