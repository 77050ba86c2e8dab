"""Who is told: a command and a webhook, and what happens when they fail."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows.retraining import notifications


class Listener(HTTPServer):
    """A server that keeps what it is told, and answers with a status."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[Any] = []
        self.status = 200

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    return tmp_path


def settings(command: list[str] | None = None, webhook: str | None = None) -> None:
    """Write the section of the settings."""
    Path("params.yaml").write_text(json.dumps({"retraining": {"notify": {"command": command, "webhook": webhook}}}))


def test_both_are_told_and_no_shell_reads_the_message(folder: Path, listener: Listener) -> None:
    script = folder / "tell"
    script.write_text('#!/bin/sh\nprintf "%s|%s|%s|%s" "$1" "$2" "$LMFORGE_EVENT" "$LMFORGE_TEXT" > told.txt\n')
    script.chmod(0o755)
    settings([str(script), "--urgent"], listener.address)
    message = "version 4 promoted: $(touch hacked) `touch hacked`; touch hacked"
    notifications.tell("promoted", message, "a-run")
    assert (folder / "told.txt").read_text() == f"--urgent|{message}|promoted|{message}"
    assert not (folder / "hacked").exists()
    assert listener.bodies == [{"event": "promoted", "text": message, "flow_run": "a-run"}]


def test_one_that_fails_stops_nothing_and_not_the_other(folder: Path, listener: Listener) -> None:
    settings(["/there/is/none"], listener.address)
    notifications.tell("failed", "a stage failed", "a-run")
    assert len(listener.bodies) == 1
    listener.status = 500
    settings(["false"], listener.address)
    notifications.tell("failed", "a stage failed", "a-run")
    listener.shutdown()
    listener.server_close()
    settings(None, listener.address)
    notifications.tell("failed", "a stage failed", "a-run")
    (folder / "params.yaml").unlink()
    notifications.tell("failed", "a stage failed", "a-run")
    assert len(listener.bodies) == 2


def test_nobody_is_told_when_nobody_is_named(folder: Path) -> None:
    settings()
    notifications.tell("waits", "version 5 waits", "a-run")
    assert [path.name for path in folder.iterdir()] == ["params.yaml"]
