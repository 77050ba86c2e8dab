"""Run a Python module as a child that cannot outlive its parent: when that dies, even by kill -9, its group ends.

`python -m flows.processes.child PARENT MODULE ARGUMENTS` must lead a process group of its own.
"""

import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import IO

from components.core.process import die_with_parent


def start(
    module: str, *arguments: str, env: Mapping[str, str], output: IO[str] | int, folder: Path = Path()
) -> "subprocess.Popen[str]":
    """Start a module on the leash in a folder, in a process group of its own, stdout and stderr together.

    Linux ties the leash to the calling thread: it must live as long as the child may.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "flows.processes.child", str(os.getpid()), module, *arguments],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
        errors="replace",
        start_new_session=True,
    )


def stop(process: "subprocess.Popen[str]", within: float) -> None:
    """End a process and all that it started: asked first, killed after that many seconds."""
    signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(within)
    signal_group(process, signal.SIGKILL)
    process.wait()


def signal_group(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """Send a signal to a process and to all that it started and that is left of it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def main() -> None:
    """Put on the leash, then become the module."""
    _, parent, module, *arguments = sys.argv
    signal.signal(signal.SIGTERM, _end_group)
    die_with_parent()
    if os.getppid() != int(parent):
        sys.exit(1)  # it died before the leash was on
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_group(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.killpg(0, number)


if __name__ == "__main__":
    main()
