"""The CPU cores of this process, and its termination with its parent."""

import ctypes
import os
import select
import signal
import sys
import threading
from pathlib import Path


def cores() -> list[int]:
    """The cores that this process may use: `taskset` or a container may restrict it to some of them."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def die_with_parent() -> None:
    """Linux: get SIGTERM when the parent dies, even by kill -9, so that no child outlives its run.

    docs/decisions.md, "Nothing outlives its parent"
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, linux/prctl.h
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
        if "TORCHELASTIC_RUN_ID" in os.environ:
            threading.Thread(target=_end_launcher_with_its_parent, daemon=True).start()


def _end_launcher_with_its_parent() -> None:
    """End torchrun, our parent, when its own parent dies: it requests no such signal, but ends all that it started."""
    launcher = os.getppid()
    parent = int(Path(f"/proc/{launcher}/stat").read_text().rpartition(")")[2].split()[1])
    select.select([os.pidfd_open(parent)], [], [])  # until it dies
    os.kill(launcher, signal.SIGTERM)
