"""The contract of a stage: exit code, one line, a record, a log, and no life after its parent."""

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]
IMPORTS = "from components.core import stage\nfrom components.core.errors import BadData, BadSettings, TryAgain"


def run(body: str, folder: Path) -> subprocess.CompletedProcess[str]:
    script = f"{IMPORTS}\n{textwrap.dedent(body)}\nstage.run('demo', main)\n"
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("BadSettings('no such key')", 2),
        ("BadData('row 3 is empty')", 3),
        ("TryAgain('the server is away')", 75),
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
    body = "from components.core import stage; import time; stage.run('demo', lambda: time.sleep(60))"
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


@pytest.mark.skipif(sys.platform != "linux", reason="the signal at the death of a parent is Linux's")
def test_the_processes_of_torchrun_die_with_its_parent(tmp_path: Path) -> None:
    body = "from components.core import stage; import time; stage.run('demo', lambda: time.sleep(120))"
    (tmp_path / "demo.py").write_text(body)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "demo.py"]
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({torchrun!r})"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    logs = [tmp_path / ".lmforge/logs" / name for name in ("demo.log", "demo.1.log")]
    _wait_until(lambda: all(log.exists() for log in logs), 60)
    everyone = psutil.Process(parent.pid).children(recursive=True)
    assert len(everyone) == 3
    parent.kill()
    parent.wait()
    _wait_until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in everyone), 60)


@pytest.mark.parametrize(("codes", "kept"), [([0, 0], 0), ([2, 75], 75), ([0, 75], 75)])
def test_the_first_process_to_fail_tells_why(tmp_path: Path, codes: list[int], kept: int) -> None:
    """Here rank 0 ends when rank 1 has ended; torchrun gives each its rank."""
    errors = {0: "pass", 2: "raise BadSettings('bad')", 75: "raise TryAgain('later')"}
    wait = "import time, pathlib\n    while not pathlib.Path('go').exists(): time.sleep(0.02)"
    bodies = [f"{wait}\n    {errors[codes[0]]}", errors[codes[1]]]
    processes = []
    for rank, log in ((0, "demo.log"), (1, "demo.1.log")):
        script = f"{IMPORTS}\ndef main():\n    {bodies[rank]}\nstage.run('demo', main)"
        environment = {"PYTHONPATH": str(ROOT), "RANK": str(rank)}
        processes.append(subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment))
        _wait_until((tmp_path / ".lmforge/logs" / log).exists)
    processes[1].wait()
    (tmp_path / "go").touch()
    processes[0].wait()
    assert json.loads((tmp_path / ".lmforge/stages/demo.json").read_text())["code"] == kept


def _wait_until(condition, seconds: float = 20.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
