"""Children that do not outlive their parent."""

import os
import subprocess
import sys
import time

import psutil

from tests.flows.support.running import REPOSITORY, still_alive, wait_until


def test_a_child_on_the_leash_leaves_no_grandchild() -> None:
    """The server is killed with its parent even when it has children of its own."""
    code = (
        "import subprocess, sys, time\n"
        "from flows.processes import child, environment\n"
        "child.start('tests.flows.support.forks', env=environment.for_children(), output=subprocess.DEVNULL)\n"
        "time.sleep(120)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", code], env=env) as parent:
        watched = psutil.Process(parent.pid)
        family = wait_until(lambda: watched.children(recursive=True), lambda found: len(found) == 2)
        assert len(family) == 2
        time.sleep(0.5)  # the child is on the leash before it starts the grandchild, but the kernel may be slow
        parent.kill()
        alive = still_alive(family, 5)
        assert alive == []
