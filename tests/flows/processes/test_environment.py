"""What every process of ours hands on to Prefect."""

import subprocess
import sys
from pathlib import Path

from flows.processes import environment

PROGRAM = """
from flows.processes import environment
environment.prepare()
from prefect.settings import get_current_settings
print(get_current_settings().flows.heartbeat_frequency)
"""


def test_a_run_by_hand_gives_signs_of_life_as_often_as_the_automation_expects(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env=environment.for_children(PYTHONPATH=str(Path(__file__).parents[3])),
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(found.stdout) == environment.HEARTBEAT
