"""Data that are away or damaged."""

from contextlib import chdir
from pathlib import Path

import pytest
import yaml

from flows.dvc import graph
from tests.chaos.support.checks import check_all, is_fresh
from tests.chaos.support.faults import ALL, Recovered, Start
from tests.chaos.support.running import GRAPH, Clock
from tests.flows.support import toy

pytestmark = pytest.mark.xdist_group("chaos")


def test_a_source_that_is_away_for_a_moment(folder: Path, start: Start, recovered: Recovered) -> None:
    (folder / "fails-ingest").write_text("75 75")
    clock = Clock()
    run = start(folder, *GRAPH)
    run.ends_well()
    recovered("a source away for a moment", clock)
    assert run.output.count("ingest               started") == 3
    check_all(folder)
    is_fresh(folder, ALL)


def test_a_source_that_stays_away(folder: Path, start: Start, recovered: Recovered) -> None:
    (folder / "fails-ingest").write_text("75 75 75 75")
    run = start(folder, *GRAPH)
    assert run.wait() == 75, run.output
    assert "lmforge: ingest: told to fail with 75" in run.output
    check_all(folder)

    clock = Clock()
    again = start(folder, *GRAPH)
    again.ends_well()
    recovered("a source that stayed away", clock)
    check_all(folder)
    is_fresh(folder, ALL)


def test_a_damaged_object_in_the_cache(folder: Path, start: Start, recovered: Recovered) -> None:
    """DVC hands it out as it is: it looks at the name and the mode of the file alone."""
    toy.dvc(folder, "repro")
    before = (folder / graph.RECORD).read_bytes()
    damage(folder, "left")
    (folder / "out/left.txt").unlink()
    clock = Clock()
    run = start(folder, *GRAPH)
    run.ends_well()
    recovered("a damaged object in DVC's cache", clock)
    assert run.started() == {"left"}
    assert (folder / "out/left.txt").read_text() == "left two"
    assert (folder / graph.RECORD).read_bytes() == before
    check_all(folder)
    is_fresh(folder, ALL)


def damage(folder: Path, name: str) -> None:
    """Change the bytes of an out in the cache, as a bad disk does: mode and size stay."""
    with chdir(folder):
        md5 = yaml.safe_load(Path(graph.RECORD).read_text())["stages"][name]["outs"][0]["md5"]
        path = Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]
        path.chmod(0o644)
        path.write_bytes(bytes(reversed(path.read_bytes())))
        path.chmod(0o444)
