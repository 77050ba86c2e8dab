"""What has to hold after every fault, and is looked at from outside: none of it asks the code that was at work."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import psutil
import yaml

from components.registry import store
from flows.cli import doctor
from flows.processes import locks
from tests.flows.support.running import wait_until

RECORD = "dvc.lock"
MODEL = "lmforge-assistant"


def check_all(folder: Path) -> None:
    """Everything that holds in a folder where nothing runs."""
    no_process_is_left(folder)
    no_lock_is_left(folder)
    record_is_true(folder)


def no_process_is_left(folder: Path) -> None:
    """No process works in the folder or below it."""
    left = wait_until(lambda: [*_processes(folder)], lambda found: not found, seconds=15)
    assert not left, f"still there: {left}"


def no_lock_is_left(folder: Path) -> None:
    """Nothing would keep the next run waiting."""
    with chdir(folder):
        assert not locks.is_held(locks.LOCKS / "run")
        busy = wait_until(lambda: list(filter(psutil.pid_exists, _holders())), lambda pids: not pids, seconds=15)
        assert not busy, f"DVC would wait for {busy}"


def record_is_true(folder: Path) -> None:
    """What `dvc.lock` says of outs is what their bytes say, where they are there."""
    for name, stage in _record(folder).items():
        for out in stage.get("outs", []):
            path = folder / out["path"]
            if path.exists():
                assert _digest(path) == out["md5"], f"{RECORD} is wrong about {out['path']} of {name}"


def registry_is_true(folder: Path) -> None:
    """The ledger holds and agrees with the aliases, and the champion's files are those that were registered."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    verify = [sys.executable, "-m", "flows.cli.main", "ledger", "verify"]
    done = subprocess.run(verify, cwd=folder, env={**ours, "PYTHONPATH": str(folder)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with chdir(folder):
        assert store.fetch(MODEL, store.CHAMPION).is_dir()


def is_fresh(folder: Path, stages: set[str]) -> None:
    """All these stages are recorded, and all their outs are there."""
    record = _record(folder)
    assert stages <= set(record), f"{RECORD} has only {set(record)}"
    missing = [
        out["path"] for name in stages for out in record[name].get("outs", []) if not (folder / out["path"]).exists()
    ]
    assert not missing, f"{missing} should be there"


def _record(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    stages: dict[str, Any] = yaml.safe_load(path.read_text()).get("stages", {}) if path.exists() else {}
    return stages


def _digest(path: Path) -> str:
    """As DVC defines it: of a folder, the md5 of the list of its files and their md5."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    entries = [{"md5": _digest(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    entries.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"


def _holders() -> set[int]:
    if not doctor.RWLOCK.exists():
        return set()
    record = json.loads(doctor.RWLOCK.read_text() or "{}")
    readers = [entry for entries in record.get("read", {}).values() for entry in entries]
    return {int(entry["pid"]) for entry in [*record.get("write", {}).values(), *readers]}


def _processes(folder: Path) -> Iterator[str]:
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                yield " ".join(process.cmdline()) or str(process)
        except psutil.Error:
            continue
