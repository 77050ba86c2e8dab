"""Lineage on the whole road: where the champion comes from, what it saw, the same once more, and what two differ in."""

import pytest

from tests.integration.support.working_copy import WorkingCopy

pytestmark = pytest.mark.xdist_group("pipeline")


def test_the_champion_leads_back_to_commit_sources_and_environment(finished: tuple[WorkingCopy, str]) -> None:
    road, _ = finished
    found = road.ask("lineage", "lmforge-assistant@champion")
    assert found["commit"]["subject"] == "A corpus"
    assert [run["stage"] for run in found["runs"]] == ["pretrain", "finetune@assistant"]
    assert all(run["id"] for run in found["runs"])
    sources = {source["name"]: source for source in found["sources"]}
    assert sources["english"]["license"] == "Apache-2.0"
    assert len(sources["english"]["pin"]) == 64
    assert len(found["environment_sha256"]) == 64
    text = road.run("flows.cli.main", "lineage")
    page = (road.folder / "reports/report-assistant.html").read_text(encoding="utf-8")
    for part in (found["commit"]["sha"], found["flow_run"], found["digest"], found["environment_sha256"]):
        assert part in text
        assert part in page


@pytest.mark.parametrize("stage", ["pretrain", "finetune@assistant"])
def test_what_a_step_read_is_found_again_by_its_id(finished: tuple[WorkingCopy, str], stage: str) -> None:
    road, _ = finished
    seen = road.ask("lineage", "step", "3", "--stage", stage)
    assert seen
    assert seen == road.ask("lineage", "step", "3", "--stage", stage, "--version", "champion")
    found = road.ask("lineage", "document", seen[0]["id"])
    (sighting,) = (one for one in found["sightings"] if one["stage"] == stage)
    assert 3 in sighting["steps"]
    assert sighting["versions"] == ["lmforge-assistant@1"]
    assert sighting["in_tree"]


@pytest.mark.slow(
    reason="tests/flows/pipeline/test_reproduce.py has the command, tests/integration/test_pipeline.py the weights"
)
def test_reproduced_the_weights_are_identical(finished: tuple[WorkingCopy, str]) -> None:
    road, _ = finished
    before = road.record()
    output = road.run("flows.cli.main", "reproduce", "@champion")
    assert "lmforge-assistant version 1 came out identical" in output
    for stage in ("prepare", "pretrain", "finetune@assistant", "package@assistant"):
        assert any(line.startswith(stage) and "identical (" in line for line in output.splitlines()), output
    assert road.record() == before
    assert list((road.folder / ".lmforge/reproductions").iterdir()) == []
