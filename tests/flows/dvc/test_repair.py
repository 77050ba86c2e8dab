"""What a kill leaves of DVC's files stands in nobody's way."""

import hashlib
import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from components.core.errors import BadSettings
from flows.cli import doctor
from flows.dvc import conflict, graph
from tests.flows.support import toy


def test_a_damaged_object_of_the_cache_is_found_and_dropped_with_its_out(pipeline: Path) -> None:
    toy.dvc(pipeline, "repro")
    assert graph.drop_damaged("left") == []
    out = pipeline / "out/left.txt"
    md5 = hashlib.md5(out.read_bytes()).hexdigest()
    kept = pipeline / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
    kept.chmod(0o644)
    kept.write_bytes(bytes(reversed(kept.read_bytes())))
    kept.chmod(0o444)  # which DVC takes for a promise that it is whole
    assert graph.drop_damaged("left") == ["out/left.txt"]
    assert not out.exists()
    assert not kept.exists()
    assert [stage.name for stage in graph.read_plan().stale] == ["left", "join"]


def test_a_lock_of_a_dead_process_is_dropped_though_its_number_lives(pipeline: Path) -> None:
    left = {"pid": os.getpid(), "cmd": "dvc repro left"}
    alive = {"pid": os.getpid(), "cmd": " ".join([sys.argv[0], *psutil.Process().cmdline()[-1:]])}
    (pipeline / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {"a": left, "b": alive}, "read": {"c": [left]}}))
    graph.read_plan()
    assert json.loads((pipeline / ".dvc/tmp/rwlock").read_text()) == {"write": {"b": alive}, "read": {"c": []}}


@pytest.mark.parametrize("left", ["", '{"write": {"/x/out'])
def test_locks_that_a_kill_tore_are_dropped(pipeline: Path, left: str) -> None:
    (pipeline / ".dvc/tmp/rwlock").write_text(left)
    graph.read_plan()
    toy.dvc(pipeline, "repro", "-s", "ingest")


def test_a_record_that_a_kill_tore_is_made_again_from_the_cache(
    pipeline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.dvc(pipeline, "repro")
    record = pipeline / "dvc.lock"
    whole = record.read_bytes()
    toy.started(pipeline)
    record.write_bytes(b"")
    graph.read_plan()
    assert capsys.readouterr().out.startswith("dvc.lock             was torn")
    toy.dvc(pipeline, "repro")
    assert record.read_bytes() == whole
    assert toy.started(pipeline) == []


def test_a_record_may_be_torn_at_any_place(pipeline: Path) -> None:
    toy.dvc(pipeline, "repro")
    record, aside = pipeline / "dvc.lock", pipeline / ".dvc/tmp/dvc.lock.torn"
    whole = record.read_bytes()
    ends = [place for place, byte in enumerate(whole, 1) if byte == ord("\n")]
    half_words = [whole.index(b"hash: md5") + len("hash: m"), whole.index(b"path: ") + len("path: ")]
    for place in [*ends[::5], *half_words]:
        record.write_bytes(whole[:place])
        aside.unlink(missing_ok=True)
        graph.read_plan()
        if place in half_words:
            assert aside.read_bytes() == whole[:place]


def test_a_whole_record_stays_though_dvc_refuses_it(pipeline: Path) -> None:
    toy.dvc(pipeline, "repro")
    before = (pipeline / "dvc.lock").read_bytes()
    with (pipeline / ".gitignore").open("a") as ignored:
        ignored.write("/dvc.lock\n")
    with pytest.raises(BadSettings, match="git-ignored"):
        graph.read_plan()
    assert (pipeline / "dvc.lock").read_bytes() == before


def test_a_record_in_conflict_is_for_a_person(pipeline: Path) -> None:
    toy.dvc(pipeline, "repro")
    record = pipeline / "dvc.lock"
    record.write_text(record.read_text().replace("stages:", "<<<<<<< HEAD\nstages:\n=======\nstages:\n>>>>>>> other"))
    before = record.read_bytes()
    with pytest.raises(BadSettings, match=r"dvc\.lock has a conflict of git: take one side whole"):
        graph.read_plan()
    assert record.read_bytes() == before
    told = doctor.dvc_record()
    assert (told.seen, told.advice) == ("dvc.lock has a conflict of git", conflict.ADVICE)
