"""A child process that is started again when it dies."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress

PAUSES = (0.0, 1.0, 5.0, 20.0)  # seconds before each new start; one that dies again after that stays dead


class Revived:
    """A child from a function that starts it, until `end`. The function gets the mode in which to open a log."""

    def __init__(self, start: Callable[[str], "subprocess.Popen[str]"]) -> None:
        self.process = start("w")
        self._start = start
        self._ending = threading.Event()
        self._starting = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def end(self) -> "subprocess.Popen[str]":
        """Start it no more; gives the process, for the caller to stop."""
        with self._starting:
            self._ending.set()
        return self.process

    def _watch(self) -> None:
        for pause in PAUSES:
            self.process.wait()
            self._ending.wait(pause)
            with self._starting:
                if self._ending.is_set():
                    return
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)  # what the dead one started
                self.process = self._start("a")
        self._ending.wait()  # the last one is on the leash of this thread
