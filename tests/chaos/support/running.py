"""A command in a folder of its own, what it prints, and the processes that it starts."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.flows.support.running import REPOSITORY, wait_until

GRAPH = ("tests.chaos.support.run_graph",)
"""The graph of the folder as the `train` flow runs it, without what follows the graph."""


class Run:
    """A module that runs in a folder, with servers of its own."""

    def __init__(self, folder: Path, *module: str, code: Path = REPOSITORY, **settings: str) -> None:
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115, read as long as the run is looked at
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
        programs = str(Path(sys.executable).parent)
        self.process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=folder,
            env={**ours, "PATH": f"{programs}:{ours['PATH']}", "PYTHONPATH": str(code), **settings},
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    @property
    def output(self) -> str:
        """All that it printed so far."""
        self._output.seek(0)
        return self._output.read()

    def wait(self, seconds: float = 400) -> int:
        """Its exit code."""
        return self.process.wait(seconds)

    def ends_well(self, seconds: float = 400) -> None:
        """Wait for its good end."""
        assert self.wait(seconds) == 0, self.output

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def says(self, pattern: str, seconds: float = 300) -> None:
        """Wait until a line begins as the pattern."""
        found = re.compile(f"^{pattern}", re.MULTILINE)
        wait_until(lambda: found.search(self.output) or self.process.poll() is not None, bool, seconds)
        assert found.search(self.output), self.output

    def started(self) -> set[str]:
        """The stages that it started."""
        return set(re.findall(r"^(\S+) +started$", self.output, re.MULTILINE))

    def completed(self) -> set[str]:
        """The stages that it finished."""
        return set(re.findall(r"^(\S+) +done in \d+ s$", self.output, re.MULTILINE))

    def member(self, *words: str, seconds: float = 120) -> psutil.Process:
        """The one process of its family whose command ends with the words, as soon as there is one."""
        found = wait_until(
            lambda: [one for one in self.family() if _command(one)[-len(words) :] == [*words]], bool, seconds
        )
        assert found, f"{self.output}\nno process {' '.join(words)} among\n{self.commands()}"
        process: psutil.Process = found[-1]
        return process

    def server(self, module: str) -> psutil.Process:
        """The server that it started, as soon as that is there."""
        found = wait_until(
            lambda: [one for one in self.family() if _command(one)[4:6] == [module, "server"]], bool, 120
        )
        assert found, self.commands()
        process: psutil.Process = found[0]
        return process

    def family(self) -> list[psutil.Process]:
        """All processes that it started and that are alive."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def commands(self) -> str:
        """What they are."""
        return "\n".join(" ".join(_command(one)) for one in self.family())


class Clock:
    """Seconds from a fault to the good end of what came after it."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._began


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
