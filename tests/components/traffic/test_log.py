"""The log of answers: masked, sampled, of limited size, whole after a crash, and never in the way."""

import json
import random
import time
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from components.traffic import files, log
from components.traffic.files import ANSWERS
from components.traffic.log import Log, Verdict
from components.traffic.served import Said, Served
from components.traffic.settings import KeepAnswers

ALL = KeepAnswers(share=1.0, file_megabytes=1, max_megabytes=10)


def served(identity: str, text: str = "Fine.", user: str | None = "ann@example.org") -> Served:
    turns = [{"role": "user", "content": "My mail is ann@example.org, how are you?"}]
    said = [Said(turns, text, 3, "stop")]
    return Served(identity, "/v1/chat/completions", "lmforge-a", 2, "ab" * 32, user, said, 9, 0.5)


def test_an_answer_is_kept_with_its_version_and_without_personal_data(tmp_path):
    kept = Log(ALL, tmp_path)
    kept.keep(served("one", "Write to bob@example.org."))
    assert kept.has("one", 0)
    kept.close()
    [row] = files.read(tmp_path, ANSWERS).to_pylist()
    assert (row["id"], row["version"], row["digest"], row["route"]) == ("one", 2, "ab" * 32, "/v1/chat/completions")
    assert (row["seconds"], row["prompt_tokens"], row["answer_tokens"]) == (0.5, 9, 3)
    assert json.loads(row["prompt"]) == [{"role": "user", "content": "My mail is <email>, how are you?"}]
    assert row["answer"] == "Write to <email>."
    assert len(row["user"]) == 32
    assert "ann" not in row["user"]
    assert (tmp_path / "users.key").stat().st_mode & 0o777 == 0o600
    again = Log(ALL, tmp_path)
    assert again.has("one", 0)
    assert not again.has("one", 1)
    again.keep(served("two"))
    again.close()
    assert len({row["user"] for row in files.read(tmp_path, ANSWERS).to_pylist()}) == 1
    assert len(files.paths(tmp_path, ANSWERS)) == 1


def test_files_are_rotated_and_the_oldest_leave(tmp_path):
    small = KeepAnswers(share=1.0, file_megabytes=0.02, max_megabytes=0.06)
    for number in range(20):
        kept = Log(small, tmp_path)
        kept.keep(served(f"{number}", random.randbytes(4000).hex()))
        kept.close()
    sizes = [path.stat().st_size for path in files.paths(tmp_path, ANSWERS)]
    assert 1 < len(sizes) < 20
    assert sum(sizes) <= 60_000
    ids = [row["id"] for row in files.read(tmp_path, ANSWERS).to_pylist()]
    assert ids[-1] == "19"
    assert "0" not in ids


def test_a_share_is_kept(tmp_path):
    kept = Log(replace(ALL, share=0.5), tmp_path)
    for number in range(200):
        kept.keep(served(str(number)))
    kept.close()
    assert 60 < files.read(tmp_path, ANSWERS).num_rows < 140


def test_a_full_queue_and_a_folder_that_cannot_be_written_cost_no_answer(tmp_path, monkeypatch, caplog):
    place = tmp_path / "file"
    place.write_text("no folder")
    monkeypatch.setattr(log, "QUEUED", 1)
    kept = Log(ALL, place)
    began = time.monotonic()
    for number in range(200):
        kept.keep(served(str(number), user=None))
    assert time.monotonic() - began < 1
    kept.close()
    outcomes = kept.outcomes
    assert outcomes.written == 0
    assert outcomes.queue_full > 0
    assert outcomes.queue_full + outcomes.not_written == 200
    assert len([record for record in caplog.records if "not kept" in record.message]) == 1
    with pytest.raises(OSError, match="file"):
        kept.judge(Verdict("1", 0, "up", None, False, None))


def test_what_a_crash_left_is_read_and_gone_on_with(tmp_path):
    kept = Log(ALL, tmp_path)
    kept.keep(served("one"))
    kept.close()
    [path] = files.paths(tmp_path, ANSWERS)
    path.with_name(f".{path.name}.1.part").write_bytes(path.read_bytes()[:100])  # what a kill in mid-write leaves
    assert pq.read_table(path.parent).num_rows == 1
    kept = Log(ALL, tmp_path)
    kept.keep(served("two"))
    kept.close()
    assert [row["id"] for row in files.read(tmp_path, ANSWERS).to_pylist()] == ["one", "two"]
