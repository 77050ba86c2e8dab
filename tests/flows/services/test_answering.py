"""`lmforge serve` as a process: where it is, what it says of its models, and what is left of it when it is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from components.core import params
from flows.cli import status
from flows.services import answering, network
from tests.flows.support.running import REPOSITORY, wait_until

pytestmark = pytest.mark.services


def test_status_says_what_a_server_answers_with_and_what_does_not_take_over(registry: Path) -> None:
    port = network.free_port(0)
    section = params.load(REPOSITORY / "params.yaml")["serve"] | {"port": port}
    YAML().dump({"finetune": {"assistant": {}}, "serve": section}, registry / "params.yaml")
    (registry / "dvc.yaml").touch()
    server = subprocess.Popen(
        [sys.executable, "-m", "flows.cli.main", "serve"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == f"OpenAI's API is at http://127.0.0.1:{port}/v1\n"
        wait_until(lambda: [*map(str, status.served())], lambda lines: "cannot be loaded" in "".join(lines))
        [line] = status.served()
        where = f"BAD serve        http://127.0.0.1:{port}"
        assert str(line).startswith(f"{where} waits for a champion of assistant; version 2 cannot be loaded: ")
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
    assert answering.addresses() == []
    assert [*status.served()] == []
