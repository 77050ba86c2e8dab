"""Shared by every stage of the pipeline: exit codes, one-line errors, a log file, termination with the parent.

A stage is a module run as `python -m components.<package>.<stage>`; its last line calls `run`.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from components.core.errors import StageError, reporting_full_disk
from components.core.files import STATE, write_atomically
from components.core.process import die_with_parent

log = logging.getLogger("lmforge")


def run(name: str, body: Callable[[], None]) -> NoReturn:
    """Run a stage and end the process with its exit code.

    `dvc` exits with 255 whatever went wrong, so code and line also go to `.lmforge/stages/<name>.json`. Of the
    processes that torchrun starts, rank 0 reports success, and the rank that fails first reports failure.
    """
    rank = int(os.environ.get("RANK", "0"))
    die_with_parent()
    _log_to(STATE / "logs" / (f"{name}.{rank}.log" if rank else f"{name}.log"))
    record = STATE / "stages" / f"{name}.json"
    if rank == 0:
        record.unlink(missing_ok=True)
    code, line = _outcome(name, body)
    if not record.exists() and (rank == 0 or code):
        with suppress(OSError):  # if the disk is full, only the exit code and the line below report the error
            write_atomically(record, json.dumps({"code": code, "line": line}))
    if line:
        print(f"{name}: {line}", file=sys.stderr, flush=True)
    sys.exit(code)


def outcome(name: str) -> tuple[int, str]:
    """Exit code and last line that the stage recorded; code 1 when it was killed before it could record any."""
    try:
        record = json.loads((STATE / "stages" / f"{name}.json").read_text())
    except FileNotFoundError:
        return 1, "it was killed, or never started"
    return record["code"], record["line"]


def _outcome(name: str, body: Callable[[], None]) -> tuple[int, str]:
    try:
        with reporting_full_disk():
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
    logging.raiseExceptions = False  # a full disk must not fill the output with tracebacks of the log
