"""Run a Python module as a child that cannot outlive its parent.

When the parent dies, even by kill -9, the kernel signals the child, which then ends its whole process group.
`python -m flows.processes.child PARENT MODULE ARGUMENTS` must lead a process group of its own.

docs/decisions.md, "Nothing outlives its parent"
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
    """Start a module as such a child in a folder, in a process group of its own, stdout and stderr combined.

    Linux ties the parent-death signal to the calling thread: the thread must live as long as the child may.
    """
    # -P: another folder, such as a worktree of an old commit, may have a package `flows` without this module.
    path = ["-P"] if folder != Path() else []
    return subprocess.Popen(
        [sys.executable, *path, "-m", "flows.processes.child", str(os.getpid()), module, *arguments],
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
    """End a process and all that it started: by SIGTERM first, by SIGKILL after `within` seconds."""
    signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(within)
    signal_group(process, signal.SIGKILL)
    process.wait()


def signal_group(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """Send a signal to the process group: the process and whatever is left of those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def main() -> None:
    """Ask the kernel for the parent-death signal, then become the module."""
    _, parent, module, *arguments = sys.argv
    signal.signal(signal.SIGTERM, _end_group)
    die_with_parent()
    if os.getppid() != int(parent):
        sys.exit(1)  # the parent died before that
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_group(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.killpg(0, number)


if __name__ == "__main__":
    main()
