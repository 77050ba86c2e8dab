"""A flow over the toy pipeline in a process of its own, and what the server says of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import psutil

from flows.services import prefect_api

REPOSITORY = Path(__file__).parents[3]


class Flow:
    """A flow in a process of its own, over the pipeline of a folder."""

    def __init__(self, folder: Path, url: str, name: str) -> None:
        self.name = name
        self._api = f"{url}/api"
        temporary = folder / ".lmforge" / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.flows.support.run_toy", name],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "PREFECT_API_URL": self._api,
                "TMPDIR": str(temporary),  # where the lock of the processor is: other tests shall not wait for it
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=_heeds_interrupts,
        )

    def result(self) -> tuple[int, str]:
        """Exit code and all that it printed."""
        output, _ = self.process.communicate(timeout=400)
        return self.process.returncode, output

    def family(self) -> list[psutil.Process]:
        """All processes that it started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def state(self) -> str:
        """Name of the state that the server has of it."""
        return str(self._ask("flow_runs")[0]["state_name"])

    def states(self, ended: Collection[str]) -> dict[str, str]:
        """Of each task run the name of its last state, once the server, which is told late, knows how these ended."""

        def look() -> dict[str, str]:
            return {run["name"]: run["state_name"] for run in self._ask("task_runs")}

        final = {"Completed", "Cached", "Failed", "Crashed"}
        return wait_until(look, lambda states: all(states.get(name) in final for name in ended))

    def logs(self) -> str:
        """What the server has of its log."""
        run = self._ask("flow_runs")[0]["id"]
        lines = prefect_api.ask(self._api, "POST", "/logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})
        return "\n".join(line["message"] for line in lines)

    def artifacts(self) -> dict[str, Any]:
        """What the server has of its artifacts, by their keys."""
        return {artifact["key"]: artifact["data"] for artifact in self._ask("artifacts")}

    def _ask(self, what: str) -> Any:
        query = {"flow_runs": {"name": {"any_": [self.name]}}}
        return prefect_api.ask(self._api, "POST", f"/{what}/filter", query)


def _heeds_interrupts() -> None:
    """A shell starts what runs in its background with SIGINT ignored, and all its children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until(look: Callable[[], Any], good: Callable[[Any], bool], seconds: float = 120.0, every: float = 0.1) -> Any:
    """What `look` gives as soon as it is good; the last it gave when time is up."""
    deadline = time.monotonic() + seconds
    while not good(seen := look()) and time.monotonic() < deadline:
        time.sleep(every)
    return seen


def still_alive(processes: Collection[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those of the processes that have not ended in that time; a zombie has ended, and its parent has not noticed."""

    def look() -> list[psutil.Process]:
        return [process for process in processes if _is_alive(process)]

    alive: list[psutil.Process] = wait_until(look, lambda found: not found, seconds)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
