"""The file of metrics: on a full disk, with half a line, with a lock."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.tracking import run, spool
from components.tracking.spool import Spool

FULL = """
import resource
from components.tracking.spool import Spool

spool = Spool("pretrain", "a" * 64, {})
spool.metrics(1, {"loss": 3.0})
size = spool.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
for step in (2, 3):
    spool.metrics(step, {"loss": 2.0})
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spool.metrics(4, {"loss": 1.0})
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_on_a_full_disk_lines_wait_until_there_is_room() -> None:
    environment = {"PYTHONPATH": str(run.ROOT)}
    result = subprocess.run([sys.executable, "-c", FULL], env=environment, capture_output=True, text=True, check=True)
    assert "wait in memory" in result.stderr
    (path,) = spool.waiting()
    steps = [entry["step"] for _, entry in spool.read(path) if "metrics" in entry]
    assert steps == [1, 2, 3, 4]


def test_reading_goes_on_behind_an_offset_and_leaves_half_a_line() -> None:
    file = Spool("pretrain", "a" * 64, {})
    file.metrics(1, {"loss": 3.0})
    entries = list(spool.read(file.path))
    assert [entry.get("step") for _, entry in entries] == [None, 1]
    with file.path.open("ab") as more:
        more.write(b'{"step": 2, ')
        more.flush()
        assert list(spool.read(file.path, entries[-1][0])) == []
        more.write(b'"metrics": {}}\n')
    (last,) = spool.read(file.path, entries[-1][0])
    assert last == (file.path.stat().st_size, json.loads('{"step": 2, "metrics": {}}'))


def test_a_file_is_its_stage_s_own_while_that_lives() -> None:
    file = Spool("pretrain", "a" * 64, {})
    with spool.claimed(file.path) as ours:
        assert not ours
    path = file.path
    del file
    with spool.claimed(path) as ours:
        assert ours
        with spool.claimed(path) as twice:
            assert not twice
        path.unlink()
    with spool.claimed(path) as ours:
        assert not ours
