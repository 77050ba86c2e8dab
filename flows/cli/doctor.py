"""`lmforge doctor`: checks of all that a run needs, with advice where something is wrong."""

import importlib.metadata
import json
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from components import tracking
from components.core.errors import StageError
from components.core.files import STATE
from components.core.recipe import model_name
from components.tracking import spool
from flows import recipes
from flows.dvc import conflict
from flows.processes import environment, locks
from flows.services import network, state
from flows.services.service import PREFECT_HEALTH

LOCKED = Path("requirements.lock")
RWLOCK = Path(".dvc/tmp/rwlock")
RECORD = Path("dvc.lock")
NEEDED_GB = 5.0
ALIASES = ("champion", "previous")

_BRING_BACK = "`lmforge promote NUMBER --reason WHY` makes a version the champion, `lmforge rollback` the one before"
_PUT_BACK = f"restore {STATE / 'mlflow' / 'artifacts'} from a copy, or promote another version"


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was seen, and what to do if it is not good."""

    name: str
    seen: str
    advice: str = ""

    @property
    def good(self) -> bool:
        """Whether there is nothing to do."""
        return not self.advice

    def __str__(self) -> str:
        mark = "ok " if self.good else "FIX"
        return f"{mark} {self.name:<12} {self.seen}" + (f" -> {self.advice}" if self.advice else "")


def examine() -> list[Finding]:
    """Run all checks."""
    live = [partial(champion, model_name(name)) for name in _recipes()]
    looks: list[Callable[[], Finding]] = [
        python,
        packages,
        settings,
        disk,
        dvc_locks,
        dvc_record,
        run_locks,
        prefect_store,
        mlflow_store,
        *live,
        in_background,
        metrics,
        telemetry,
        gpu,
        matrix_products,
    ]
    return [look() for look in looks]


def python() -> Finding:
    """The interpreter, and the code that it runs: in a copied folder the command still belongs to the original."""
    version, code = ".".join(map(str, sys.version_info[:3])), Path(__file__).resolve().parents[2]
    if code != Path.cwd():
        return Finding("python", f"{version} runs the code of {code}", "`make run` here sets up .venv for this folder")
    return Finding("python", version)


def packages() -> Finding:
    """The installed packages, compared with the locked ones, apart from those for some versions of Python alone."""
    lines = LOCKED.read_text().splitlines()
    locked = dict(line.split("==") for line in lines if "==" in line and ";" not in line)
    wrong = [
        f"{name} {_installed(name)} instead of {version}"
        for name, version in locked.items()
        if _installed(name).split("+")[0] != version
    ]
    if wrong:
        return Finding("packages", "; ".join(wrong), f"pip install -r {LOCKED}")
    return Finding("packages", f"{len(locked)} as in {LOCKED}")


def settings() -> Finding:
    """The settings of all stages."""
    from flows import settings as sections

    try:
        sections.check()
    except StageError as error:
        return Finding("settings", str(error), "edit params.yaml")
    return Finding("settings", "params.yaml is valid")


def disk() -> Finding:
    """Free disk space for data, models and DVC's cache."""
    free = shutil.disk_usage(".").free / 1e9
    advice = "" if free >= NEEDED_GB else f"free some: a run wants {NEEDED_GB:.0f} GB"
    return Finding("disk", f"{free:.0f} GB free", advice)


def dvc_locks() -> Finding:
    """Entries in DVC's lock file whose process is gone, or whose number another process has by now."""
    try:
        record = json.loads(RWLOCK.read_text())
    except FileNotFoundError:
        return Finding("dvc locks", "none")
    except ValueError:
        return Finding("dvc locks", f"{RWLOCK} cannot be read", f"delete {RWLOCK}")
    readers = [entry for entries in record.get("read", {}).values() for entry in entries]
    pids = {int(entry["pid"]) for entry in [*record.get("write", {}).values(), *readers]}
    stale = sorted(pid for pid in pids if not _is_dvc(pid))
    if stale:
        return Finding("dvc locks", f"left by process {', '.join(map(str, stale))}, which is gone", f"delete {RWLOCK}")
    return Finding("dvc locks", f"{len(pids)} in use" if pids else "none")


def dvc_record() -> Finding:
    """DVC's record of earlier runs; DVC writes the file in place, so that a kill can truncate it."""
    from components.core import params

    if not RECORD.exists():
        return Finding("dvc record", "none")
    if conflict.is_in(RECORD.read_text(encoding="utf-8", errors="replace")):
        return Finding("dvc record", f"{RECORD} has a conflict of git", conflict.ADVICE)
    try:
        stages = params.load(RECORD).get("stages") or {}
    except StageError:
        return Finding("dvc record", f"{RECORD} cannot be read", f"delete {RECORD}: DVC's cache has what it held")
    return Finding("dvc record", f"{len(stages)} stages have run")


def run_locks() -> Finding:
    """Runs in progress; their locks are released when they end, so that none can be stale."""
    paths = {"run": locks.LOCKS / "run"} | {name: locks.accelerator_lock(name) for name in locks.accelerators()}
    held = [name for name, path in paths.items() if locks.is_held(path)]
    return Finding("run locks", f"held by a run at work: {', '.join(held)}" if held else "free")


def prefect_store() -> Finding:
    """The history of runs, and the server if one is up."""
    found = _sqlite(environment.PREFECT_HOME / "prefect.db")
    url = state.announced()
    if url:
        found = f"{found}; {'server at ' + url if network.answers(url + PREFECT_HEALTH) else 'no server'}"
    return Finding("prefect", found, "move it away: the next run makes a new one" if "damaged" in found else "")


def mlflow_store() -> Finding:
    """The runs and the registry."""
    chosen = os.environ.get("MLFLOW_TRACKING_URI") or f"{tracking.SQLITE}{STATE / 'mlflow' / 'mlflow.db'}"
    if not chosen.startswith(tracking.SQLITE):
        there = network.answers(chosen)
        return Finding("mlflow", chosen, "" if there else "start that server, or unset MLFLOW_TRACKING_URI")
    database = Path(chosen.removeprefix(tracking.SQLITE))
    found = _sqlite(database)
    if "damaged" in found:
        return Finding("mlflow", found, "restore it from a copy")
    old = tracking.moved_from(database)
    moved = f"; moved or copied from {old}: the next command that needs it puts its paths right" if old else ""
    return Finding("mlflow", found + moved)


def champion(model: str) -> Finding:
    """The live model and the previous one: whether the registry still has them, with their files."""
    from components.registry import champion as champions
    from components.registry import store

    if not tracking.is_there():
        return Finding("champion", "none yet")
    try:
        aliases, gone = store.aliases(model), champions.gone(model)
        without = [
            f"@{alias} (version {aliases[alias]})" for alias in ALIASES if _lacks_files(model, aliases.get(alias))
        ]
    except Exception as error:  # whatever MLflow raises: the line above reports on its store
        return Finding("champion", f"unknown ({type(error).__name__})")
    if gone is not None:
        return Finding(
            "champion", f"{model} version {gone} was @champion, and the registry has it no more", _BRING_BACK
        )
    if without:
        return Finding("champion", f"the files of {model} {' and '.join(without)} are gone", _PUT_BACK)
    return Finding("champion", f"{model} version {aliases['champion']}" if "champion" in aliases else "none yet")


def _recipes() -> Sequence[str]:
    """The recipes of params.yaml, or none if that is not valid, which another check reports."""
    with suppress(StageError):
        return recipes.asked()
    return ()


def _lacks_files(model: str, number: int | None) -> bool:
    from components.registry import store

    return number is not None and not store.has_files(model, number)


def in_background() -> Finding:
    """What `lmforge up` started."""
    if not state.is_up():
        return Finding("services", "not up")
    found = state.read().get("services", {})
    gone = [name for name, service in found.items() if service["url"] and not network.answers(service["url"])]
    if gone:
        logs = ", ".join(f".lmforge/logs/{name}-server.log" for name in gone)
        return Finding("services", f"no answer from {', '.join(gone)}", f"look into {logs}")
    return Finding("services", f"up: {', '.join(found) or 'starting'}")


def metrics() -> Finding:
    """Training metrics that MLflow has not received yet; those of a running stage are always among them."""
    count = len(spool.waiting())
    return Finding("metrics", f"of {count} starts of a stage wait for MLflow" if count else "all sent to MLflow")


def telemetry() -> Finding:
    """Whether telemetry is off."""
    off = all(os.environ.get(name) == value for name, value in environment.TELEMETRY_OFF.items())
    return Finding("telemetry", "off" if off else "on", "" if off else "start it by the lmforge command")


def gpu() -> Finding:
    """The hardware to train on."""
    import torch

    if torch.cuda.is_available():
        return Finding("gpu", ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())))
    return Finding("gpu", f"none: training takes the {os.cpu_count()} cores of {socket.gethostname()}")


def matrix_products() -> Finding:
    """The type of matrix products, and what computes them."""
    from components.model import arithmetic
    from components.training.engine import hardware

    return Finding("arithmetic", f"matrix products in {arithmetic.of(hardware.device())}")


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _is_dvc(pid: int) -> bool:
    with suppress(psutil.Error):
        return any("dvc" in part for part in psutil.Process(pid).cmdline())
    return False


def _sqlite(path: Path) -> str:
    if not path.exists():
        return "no runs yet"
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.execute("select count(*) from sqlite_master").fetchone()
    except sqlite3.Error as error:
        return f"{path} is damaged ({error})"
    return f"{path} ({path.stat().st_size / 1e6:.0f} MB)"
