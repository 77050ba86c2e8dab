"""A real S3 server on loopback, SeaweedFS, and a line to it that can be cut."""

import json
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.core.process import die_with_parent

OWNER = {"AWS_ACCESS_KEY_ID": "owner", "AWS_SECRET_ACCESS_KEY": "secret-of-the-owner"}
GUEST = {"AWS_ACCESS_KEY_ID": "guest", "AWS_SECRET_ACCESS_KEY": "secret-of-the-guest"}
"""Who may do everything, and who may not read what the tests do."""

IDENTITIES = {
    "identities": [
        {
            "name": keys["AWS_ACCESS_KEY_ID"],
            "credentials": [{"accessKey": keys["AWS_ACCESS_KEY_ID"], "secretKey": keys["AWS_SECRET_ACCESS_KEY"]}],
            "actions": actions,
        }
        for keys, actions in ((OWNER, ["Admin"]), (GUEST, ["Read:elsewhere"]))
    ]
}
SERVERS = ("master", "volume", "filer", "s3")
WITHIN = 60  # seconds for the start, which takes 3


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The address of a server that keeps its objects in a folder."""
    (folder / "s3.json").write_text(json.dumps(IDENTITIES))
    names = [f"{name}.port{kind}" for name in SERVERS for kind in ("", ".grpc")]
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    options = {
        **ports,
        "dir": folder,
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "filer": "true",
        "s3": "true",
        "s3.config": folder / "s3.json",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "filer.localSocket": folder / "filer.sock",
        "s3.localSocket": folder / "s3.sock",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.max": 20,
    }
    command = ["weed", "server", *(f"-{name}={value}" for name, value in options.items())]
    address = f"http://127.0.0.1:{ports['s3.port']}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent)
    try:
        _wait(address, process, folder / "log")
        yield address
    finally:
        process.kill()  # what it holds belongs to the tests
        process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [found.getsockname()[1] for found in sockets]
    for found in sockets:
        found.close()
    return ports


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + WITHIN
    while process.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # it asks who we are
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"weed does not answer: {log.read_text()[-2000:]}")


class Line:
    """A proxy that passes on so many bytes of a server and then cuts every connection; None for all."""

    def __init__(self, server: str) -> None:
        self._server = server.removeprefix("http://").split(":")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.left: int | None = None
        self.passed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection((self._server[0], int(self._server[1])))
                threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                if answers:
                    if self.left is not None and self.left < len(piece):
                        break
                    self.left = None if self.left is None else self.left - len(piece)
                    self.passed += len(piece)
                target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
