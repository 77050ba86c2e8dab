"""A hub of this machine with a single model, as huggingface_hub asks it."""

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

REPOSITORY = "someone/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def served(folder: Path, monkeypatch: pytest.MonkeyPatch, *, broken: str | None = None) -> Iterator[None]:
    """While it lasts, the hub is a server that has the files of a folder, but for the contents of the `broken` one."""
    files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, *, body: bool) -> None:
            path = urlsplit(self.path).path
            tree, resolve = f"/api/models/{REPOSITORY}/tree/{COMMIT}", f"/{REPOSITORY}/resolve/{COMMIT}/"
            name = path.removeprefix(resolve)
            if path == tree:
                self._send(json.dumps([_entry(name, content) for name, content in files.items()]).encode(), body)
            elif path.startswith(resolve) and name in files and not (body and name == broken):
                self._send(files[name], body)
            elif REPOSITORY not in path:
                self._refuse(HTTPStatus.NOT_FOUND, "RepoNotFound")
            elif COMMIT not in path:
                self._refuse(HTTPStatus.NOT_FOUND, "RevisionNotFound")
            else:
                self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "")

        def _send(self, content: bytes, body: bool) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.end_headers()
            if body:
                self.wfile.write(content)

        def _refuse(self, status: HTTPStatus, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, monkeypatch.context() as patch:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        patch.setattr("huggingface_hub.constants.ENDPOINT", address)
        patch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        )
        yield
        server.shutdown()


def _entry(name: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
