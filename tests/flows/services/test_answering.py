"""`lmforge serve` as a service: where it is, what it says of its models, and what is left of it when it is killed."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from components.core import params
from flows.cli import status
from flows.processes import child
from flows.services import answering, network, service
from tests.flows.support.running import REPOSITORY, wait_until

pytestmark = pytest.mark.services


def test_status_says_what_a_server_answers_with_and_what_does_not_take_over(
    registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = params.load(REPOSITORY / "params.yaml")["serve"]
    with (registry / "params.yaml").open("w") as file:
        YAML().dump({"finetune": {"assistant": {}}, "serve": section}, file)
    (registry / "dvc.yaml").touch()
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    port = network.free_port(section["port"])
    server = service.serve(port, network.HOST, tls=False)
    process = server.start()
    try:
        assert wait_until(lambda: server.is_ready, bool), server.log.read_text()
        wait_until(lambda: [*map(str, status.served())], lambda lines: "cannot be loaded" in "".join(lines))
        [line] = status.served()
        where = f"BAD serve        http://127.0.0.1:{port}"
        assert str(line).startswith(f"{where} waits for a champion of assistant; version 2 cannot be loaded: ")
    finally:
        child.stop(process, 20)
    assert answering.addresses() == []
    assert [*status.served()] == []
