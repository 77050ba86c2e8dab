"""The contract of a stage: exit code, one line, a record, a log, and no life after its parent."""

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]


def run(body: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = f"from components import stage\n{textwrap.dedent(body)}\nstage.run('demo', main)\n"
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("stage.BadSettings('no such key')", 2),
        ("stage.BadData('row 3 is empty')", 3),
        ("stage.TryAgain('the server is away')", 75),
        ("OSError(28, 'No space left on device', 'big.bin')", 75),
        ("ZeroDivisionError('by zero')", 1),
    ],
)
def test_an_error_is_a_code_and_one_line(tmp_path: Path, error: str, code: int) -> None:
    done = run(f"def main(): raise {error}", tmp_path)
    record = json.loads((tmp_path / ".lmforge/stages/demo.json").read_text())
    assert (done.returncode, record["code"]) == (code, code)
    assert done.stderr == f"demo: {record['line']}\n"
    assert "Traceback" in (tmp_path / ".lmforge/logs/demo.log").read_text()


def test_a_stage_that_ends_well_says_nothing(tmp_path: Path) -> None:
    done = run("def main(): pass", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / ".lmforge/stages/demo.json").read_text()) == {"code": 0, "line": ""}


def test_a_killed_stage_leaves_no_old_record(tmp_path: Path) -> None:
    run("def main(): pass", tmp_path)
    run("import os\ndef main(): os.kill(os.getpid(), 9)", tmp_path)
    assert not (tmp_path / ".lmforge/stages/demo.json").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the signal at the death of a parent is Linux's")
def test_a_stage_dies_with_its_parent(tmp_path: Path) -> None:
    body = "from components import stage; import time; stage.run('demo', lambda: time.sleep(60))"
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {body!r}]); time.sleep(60)",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    log = tmp_path / ".lmforge/logs/demo.log"
    _wait_until(log.exists)
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    _wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def _wait_until(condition, seconds: float = 20.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
