"""What every stage of the pipeline shares: exit codes, one-line errors, a log file, a death with its parent.

A stage is a module run as `python -m components.<package>.<stage>`; its last line calls `run`.
"""

import ctypes
import errno
import json
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

STATE = Path(".lmforge")
"""What is not the project's history: databases, logs, exit codes, downloads. Git ignores it."""

log = logging.getLogger("lmforge")


class StageError(Exception):
    """An error that a person can act on: its text says what is wrong, where, and what to do."""

    code = 1


class BadSettings(StageError):
    """`params.yaml` or `data/sources.yaml` asks for something that cannot be."""

    code = 2


class BadData(StageError):
    """The data are not what the stage may accept."""

    code = 3


class TryAgain(StageError):
    """Something outside is missing for now: disk space, a server, the network."""

    code = 75


def run(name: str, body: Callable[[], None]) -> NoReturn:
    """Run a stage and end the process with its exit code.

    `dvc` answers 255 whatever went wrong, so code and line also go to `.lmforge/stages/<name>.json`. Of the processes
    that torchrun starts, the first one tells of success, and of failure the one that fails before the others.
    """
    rank = int(os.environ.get("RANK", "0"))
    die_with_parent()
    _log_to(STATE / "logs" / (f"{name}.{rank}.log" if rank else f"{name}.log"))
    record = STATE / "stages" / f"{name}.json"
    if rank == 0:
        record.unlink(missing_ok=True)
    code, line = _outcome(name, body)
    if not record.exists() and (rank == 0 or code):
        with suppress(OSError):  # where the disk is full, the exit code and the line below have to do
            write_atomically(record, json.dumps({"code": code, "line": line}))
    if line:
        print(f"{name}: {line}", file=sys.stderr, flush=True)
    sys.exit(code)


def outcome(name: str) -> tuple[int, str]:
    """Exit code and last line that the stage left; code 1 when it was killed before it could leave any."""
    try:
        record = json.loads((STATE / "stages" / f"{name}.json").read_text())
    except FileNotFoundError:
        return 1, "it was killed, or never started"
    return record["code"], record["line"]


@contextmanager
def full_disk_is_told() -> Iterator[None]:
    """Within it a full disk is `TryAgain`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = error.filename or Path.cwd()
        raise TryAgain(f"no space left on the disk ({where}): free some, then run again") from error


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader, or a crash, never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def flush(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to the disk, so that they survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _outcome(name: str, body: Callable[[], None]) -> tuple[int, str]:
    try:
        with full_disk_is_told():
            body()
    except StageError as error:
        log.exception("%s", error)
        return error.code, str(error)
    except Exception as error:
        log.exception("%s", error)
        return 1, f"{type(error).__name__}: {error} (a bug; the traceback is in {STATE / 'logs' / f'{name}.log'})"
    return 0, ""


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.raiseExceptions = False  # a log for which there is no space is no reason for pages of tracebacks


def die_with_parent() -> None:
    """Linux: get SIGTERM when the parent dies, be it by kill -9, so that no child outlives its run."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, linux/prctl.h
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
        if "TORCHELASTIC_RUN_ID" in os.environ:
            threading.Thread(target=_end_launcher_with_its_parent, daemon=True).start()


def _end_launcher_with_its_parent() -> None:
    """torchrun, our parent, asks for no such signal; when it is ended, it ends all that it started."""
    launcher = os.getppid()
    parent = int(Path(f"/proc/{launcher}/stat").read_text().rpartition(")")[2].split()[1])
    select.select([os.pidfd_open(parent)], [], [])  # until it dies
    os.kill(launcher, signal.SIGTERM)
