"""What `lmforge up` starts, over the toy pipeline in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests

from flows.services import prefect_api
from tests.flows.support import toy
from tests.flows.support.running import REPOSITORY, still_alive, wait_until

SETTINGS = """\
retraining:
  cron: "0 2 * * *"
  watch_minutes: 600
  min_new_tokens: 1
  max_drift: 0.25
  cooldown_minutes: 0
  budget_minutes: 600
  overlap: drop
  veto_minutes: 0
  notify: {command: null, webhook: null}
"""

UP = """
from flows.processes import environment
from flows.services import lifecycle, supervisor
environment.prepare()
lifecycle.up(supervisor.ListenOptions())
"""

DOWN = """
from flows.processes import environment
from flows.services import lifecycle
environment.prepare()
lifecycle.down()
"""

STATUS = """
from flows.processes import environment
from flows.cli import status
environment.prepare()
print(*status.look(["assistant"]), sep="\\n")
"""

# The deployment `train`, with a flow that is over in seconds.
REGISTER = """
from flows.processes import environment
from flows.retraining import deployments
environment.prepare()
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
toy = deployments.Definition("train", "tests.flows.support.toy_flow.train", overlap=ConcurrencyLimitStrategy.CANCEL_NEW)
with get_client(sync_client=True) as client:
    deployments.apply(client, toy)
"""


class Team:
    """The services of one folder, and what a person or the machine does to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = toy.make(folder)
        (folder / "params.yaml").write_text(toy.PARAMS + SETTINGS)

    def python(self, code: str, **more: str) -> str:
        """Run a piece of Python in the folder; what it printed."""
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self.folder, env=_environment(**more), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr + self.logs()
        return done.stdout

    def up(self) -> None:
        self.python(UP)

    def down(self) -> None:
        self.python(DOWN)

    def status(self) -> str:
        return self.python(STATUS)

    def register_toy(self) -> None:
        self.python(REGISTER, PREFECT_API_URL=self.api)

    def state(self) -> dict[str, Any]:
        """What the supervisor says of itself."""
        found: dict[str, Any] = json.loads((self.folder / ".lmforge/services/state.json").read_text())
        return found

    def pid(self, name: str) -> int:
        """Of a service, once it has one."""
        pid = wait_until(lambda: self.state()["services"][name]["pid"], bool, 90)
        assert pid, self.logs()
        return int(pid)

    @property
    def api(self) -> str:
        return f"{self.state()['services']['prefect']['url']}/api"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return prefect_api.ask(self.api, method, path, body)

    def start(self, trigger: str) -> str:
        """Start the toy's deployment; the id of the run."""
        deployment = self.ask("GET", "/deployments/name/toy/train")["id"]
        body = {"parameters": {"trigger": trigger}, "state": {"type": "SCHEDULED"}}
        return str(self.ask("POST", f"/deployments/{deployment}/create_flow_run", body)["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """What the server knows of a run; while it is away, of a run without a state."""
        try:
            found: dict[str, Any] = self.ask("GET", f"/flow_runs/{run_id}")
        except (requests.RequestException, FileNotFoundError):
            return {"state_name": "?", "tags": []}
        return found

    def end(self, run_id: str) -> dict[str, Any]:
        """A run once it is over."""
        over = ("Completed", "Failed", "Cancelled")
        found: dict[str, Any] = wait_until(lambda: self.run(run_id), lambda run: run["state_name"] in over, 180, 0.5)
        assert found["state_name"] in over, f"{found} {self.logs()}"
        return found

    def completed(self, run_id: str) -> dict[str, Any]:
        """A run once it has ended well."""
        found = self.end(run_id)
        assert found["state_name"] == "Completed", f"{found['state']['message']}\n{self.logs()}"
        return found

    def stage(self, name: str) -> psutil.Process:
        """The process of a stage, once it is at work."""
        started = self.folder / "started.txt"

        def look() -> list[int]:
            lines = started.read_text().splitlines() if started.exists() else []
            return [
                int(line.split()[1])
                for line in lines
                if line.startswith(f"{name} ") and psutil.pid_exists(int(line.split()[1]))
            ]

        pids = wait_until(look, bool, 120)
        assert pids, f"{name} did not start\n{self.logs()}"
        return psutil.Process(pids[-1])

    def slow_down(self, word: str, seconds: int) -> None:
        """Make the stage `left` run again, and take so long."""
        path = self.folder / "params.yaml"
        lines = [
            f"left: {{word: {word}, seconds: {seconds}}}" if line.startswith("left:") else line
            for line in path.read_text().splitlines()
        ]
        path.write_text("\n".join(lines) + "\n")

    def family(self) -> list[psutil.Process]:
        """The supervisor and all below it."""
        supervisor = psutil.Process(self.state()["pid"])
        return [supervisor, *supervisor.children(recursive=True)]

    def logs(self) -> str:
        """What the services said, for a test that fails."""
        found = sorted((self.folder / ".lmforge/logs").glob("*.log"))
        return "\n".join(f"== {path.name}\n{path.read_text(errors='replace')[-2000:]}" for path in found)

    def clear_away(self) -> None:
        """Leave nothing behind, whatever a test did."""
        try:
            family = self.family()
        except (FileNotFoundError, psutil.NoSuchProcess):
            return
        self.down()
        for process in still_alive(family, 20):
            process.send_signal(signal.SIGKILL)


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    return {**kept, "PYTHONPATH": str(REPOSITORY), **more}


@contextmanager
def at_work(folder: Path) -> Iterator[Team]:
    """Everything up in a folder, with the toy for a training; it does not outlive the body."""
    team = Team(folder)
    try:
        team.up()
        team.register_toy()
        yield team
    finally:
        team.clear_away()
