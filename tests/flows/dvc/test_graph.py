"""The graph as DVC has it, and what of it is fresh, in words."""

import threading
from pathlib import Path

import pytest

from components.core.errors import BadSettings
from flows.dvc import graph
from tests.flows.support import toy


def reasons() -> dict[str, tuple[str, ...]]:
    return {stage.name: stage.reasons for stage in graph.read_plan().stages}


@pytest.mark.usefixtures("pipeline")
def test_graph() -> None:
    plan = graph.read_plan()
    assert [stage.name for stage in plan.stages] == ["ingest", "left", "pretrain", "finetune@assistant", "join"]
    assert {stage.name: stage.upstream for stage in plan.stages}["join"] == ("finetune@assistant", "left", "pretrain")
    assert {stage.reasons for stage in plan.stages} == {("never run",)}
    assert plan.stages[0].deps == ("toy.py", "source.txt")
    assert plan.stages[0].outs == ("out/ingest.txt",)
    assert plan.stale == plan.stages


def test_reasons_in_words(pipeline: Path) -> None:
    toy.dvc(pipeline, "repro")
    assert set(reasons().values()) == {()}

    toy.set_word(pipeline, "# a comment", "# another comment")
    assert set(reasons().values()) == {()}

    toy.set_word(pipeline, "low: 0.0003", "low: 1e-4, high: 1")
    assert reasons() == {
        "ingest": (),
        "left": (),
        "pretrain": (),
        "finetune@assistant": ("finetune.rates.high is new", "finetune.rates.low: 0.0003 → 0.0001"),
        "join": ("finetune@assistant will run",),
    }

    (pipeline / "source.txt").write_text("other")
    (pipeline / "out/left.txt").unlink()
    toy.set_word(pipeline, "two", "zwei")
    now = reasons()
    assert now["ingest"] == ("source.txt changed",)
    assert now["left"] == ("left.word: two → zwei", "out/left.txt is missing", "ingest will run")
    assert now["pretrain"] == ("ingest will run",)


def test_a_changed_command_is_a_reason(pipeline: Path) -> None:
    toy.dvc(pipeline, "repro")
    declared = pipeline / "dvc.yaml"
    declared.write_text(declared.read_text().replace("toy.py left out", "toy.py  left out"))
    assert reasons()["left"] == ("its command changed",)


def test_the_record_is_sorted_as_by_hand(pipeline: Path) -> None:
    toy.dvc(pipeline, "repro")
    record = pipeline / "dvc.lock"
    by_hand = record.read_bytes()
    graph.sort_record()
    assert record.read_bytes() == by_hand

    record.unlink()
    for name in ("ingest", "finetune@assistant", "pretrain", "left", "join"):
        toy.dvc(pipeline, "repro", "-s", name)
    assert record.read_bytes() != by_hand
    graph.sort_record()
    assert record.read_bytes() == by_hand


def test_a_forgotten_stage_runs_again(pipeline: Path) -> None:
    toy.dvc(pipeline, "repro")
    before = (pipeline / "dvc.lock").read_bytes()
    toy.started(pipeline)
    graph.forget("left")
    assert reasons()["left"] == ("never run",)
    toy.dvc(pipeline, "repro")
    assert toy.started(pipeline) == ["left"], "DVC took it from its run cache"
    graph.sort_record()
    assert (pipeline / "dvc.lock").read_bytes() == before


def test_digests_follow_files_and_parameters(pipeline: Path) -> None:
    before = graph.digests("ingest")
    assert set(before) == {"toy.py", "source.txt", "params.yaml"}
    (pipeline / "source.txt").write_text("other")
    toy.set_word(pipeline, "word: one", "word: eins")
    after = graph.digests("ingest")
    assert {name for name in after if after[name] != before[name]} == {"source.txt", "params.yaml"}
    assert "out/ingest.txt" not in graph.digests("left"), "it does not exist yet"


@pytest.mark.usefixtures("pipeline")
def test_threads_take_turns() -> None:
    found: list[set[str]] = []
    threads = [threading.Thread(target=lambda: found.append(set(graph.digests("ingest")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{"toy.py", "source.txt", "params.yaml"}] * 4


def test_a_broken_graph_is_one_line(pipeline: Path) -> None:
    (pipeline / "dvc.yaml").write_text("stages:\n  ingest:\n    cmdd: x\n")
    with pytest.raises(BadSettings, match=r"^dvc\.yaml: .*failed") as error:
        graph.read_plan()
    assert "\n" not in str(error.value)
