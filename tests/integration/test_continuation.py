"""New text after a champion: its weights and tokenizer go on, old text is read again, and all of it is reproducible."""

import json
import shutil

import pytest

from components.training.data.data_order import Reading
from tests.integration.support.working_copy import WorkingCopy, copy

pytestmark = pytest.mark.xdist_group("pipeline")

NEW = [
    f"Letter {number}. The printer of the north sends a radio to the quiet field, and waits." for number in range(40)
]


@pytest.fixture(scope="module")
def continued(
    finished: tuple[WorkingCopy, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[WorkingCopy, str, bytes]:
    """A working copy after a second run with new text, what that printed, and the first run's tokenizer.

    It is a copy: other tests read the folder of the first run.
    """
    road = copy(finished[0].folder, tmp_path_factory.mktemp("continued") / "lmforge")
    tokenizer = (road.folder / "models/tokenizer/tokenizer.json").read_bytes()
    road.run("flows.cli.main", "preset", "smoke", "go-on")
    road.change("params.yaml", "steps: 56", "steps: 10")
    road.change("params.yaml", "steps: 80", "steps: 10")
    with (road.folder / "corpus/english.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in NEW)
    return road, road.run("flows.cli.main", "run"), tokenizer


def test_it_goes_on_from_the_champion(continued: tuple[WorkingCopy, str, bytes]) -> None:
    road, output, tokenizer = continued
    assert "goes on from lmforge-assistant version 1" in output
    assert "lmforge-assistant version 2" in output
    for folder in ("models/tokenizer", "models/pretrained", "models/package/assistant"):
        assert (road.folder / folder / "tokenizer.json").read_bytes() == tokenizer
    assert "goes on from   lmforge-assistant version 1" in road.run("flows.cli.main", "lineage", "@2")
    before = road.record()
    again = road.run("flows.cli.main", "run")
    assert "done in" not in again
    assert road.record() == before


def test_new_text_and_old_are_read_in_their_shares_and_found_again(continued: tuple[WorkingCopy, str, bytes]) -> None:
    road, _, _ = continued
    facts = json.loads((road.folder / "models/pretrained/training.json").read_text())
    reading = Reading(**facts["reading"])
    assert facts["start"] == {"model": "lmforge-assistant", "version": 1}
    assert dict(reading.shares) == {"new documents": 0.5, "old documents": 0.5}
    steps = {table: next(reading.steps_on(table)) for table in ("new documents", "old documents")}
    for table, in_both in (("new documents", False), ("old documents", True)):
        seen = road.ask("lineage", "step", str(steps[table]), "--version", "2")
        found = road.ask("lineage", "document", seen[0]["id"])
        pretrainings = {tuple(one["versions"]): one for one in found["sightings"] if one["stage"] == "pretrain"}
        assert steps[table] in pretrainings[("lmforge-assistant@2",)]["steps"]
        both = ("lmforge-assistant@1", "lmforge-assistant@2")
        assert bool(pretrainings.get(both, {}).get("steps")) == in_both


@pytest.mark.slow(reason="tests/flows/pipeline/test_reproduce_chain.py walks a chain")
def test_the_second_version_is_made_again_from_the_first(continued: tuple[WorkingCopy, str, bytes]) -> None:
    road, _, _ = continued
    assert "lmforge-assistant version 2 came out identical" in road.run("flows.cli.main", "reproduce", "@2")
    pinned = json.loads((road.folder / "data/start.json").read_text())["files"]["base/model.safetensors"]
    (road.folder / ".dvc/cache/files/md5" / pinned[:2] / pinned[2:]).unlink()
    shutil.rmtree(road.folder / "models/start")
    output = road.run("flows.cli.main", "reproduce", "@2")
    assert "lmforge-assistant version 1 is made again: 1 of its files are in neither DVC's cache nor a remote" in output
    assert "lmforge-assistant version 2 came out identical" in output
