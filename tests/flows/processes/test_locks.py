"""Locks between processes, and which accelerators a run has to have."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from components.core import process
from components.core.errors import TryAgain
from flows.processes import locks

CORES = [f"cpu{core}" for core in process.cores()]
HOLDER = """
import sys
from pathlib import Path
from flows.processes import locks

with locks.hold_accelerators(lambda: None) as count:
    print(count, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a temporary folder of its own, which is where accelerators are locked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, nvidia_smi: str) -> None:
    """Let the script be the only `nvidia-smi`."""
    path = folder / "bin" / "nvidia-smi"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{nvidia_smi}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent), prepend=":")


def test_one_holds_a_folders_lock_and_the_other_is_told(folder: Path) -> None:
    with locks.hold("run", "taken"):
        assert locks.is_held(folder / locks.LOCKS / "run")
        with pytest.raises(TryAgain, match="taken"), locks.hold("run", "taken"):
            pass
    assert not locks.is_held(folder / locks.LOCKS / "run")


def test_the_processor_is_one_for_all_folders_and_free_when_its_holder_dies(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=folder / "elsewhere",
        env={"PYTHONPATH": str(Path(locks.__file__).parents[2]), "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout
    assert holder.stdout.readline() == b"1\n"
    looks = []

    def check() -> None:
        looks.append(None)
        if len(looks) == 2:
            holder.kill()

    with locks.hold_accelerators(check) as count:
        assert count == 1
    assert len(looks) >= 2
    holder.communicate()


@pytest.mark.skipif(len(CORES) < 2, reason="there is but one core")
def test_runs_on_cores_of_their_own_do_not_wait_for_each_other(folder: Path) -> None:
    first, second, *_ = process.cores()
    command = ["taskset", "--cpu-list", str(first), sys.executable, "-c", HOLDER]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(locks.__file__).parents[2]), "TMPDIR": str(folder)}
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"1\n"
        assert [locks.is_held(locks.accelerator_lock(f"cpu{core}")) for core in (first, second)] == [True, False]
        holder.communicate()


def test_a_run_that_is_stopped_does_not_wait_any_longer() -> None:
    stopped = threading.Event()

    def check() -> None:
        stopped.set()
        raise TryAgain("stopped")

    with (
        locks.hold_accelerators(lambda: None),
        pytest.raises(TryAgain, match="stopped"),
        locks.hold_accelerators(check),
    ):
        pass
    assert stopped.is_set()


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["GPU-aa", "GPU-bb"]),
        ("1", ["GPU-aa"]),
        ("1,0", ["GPU-aa", "GPU-bb"]),
        ("GPU-bb", ["GPU-bb"]),
        ("MIG-cc", ["MIG-cc"]),
        ("", CORES),
        ("-1", CORES),
    ],
)
def test_the_gpus_that_a_run_may_use_are_its_accelerators(
    folder: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: list[str]
) -> None:
    programs(folder, monkeypatch, "echo '0, GPU-bb'; echo '1, GPU-aa'")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert locks.accelerators() == expected


def test_a_driver_without_a_card_leaves_the_processor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(folder, monkeypatch, "echo no devices were found; exit 9")
    assert locks.accelerators() == CORES
