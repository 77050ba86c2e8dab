"""A package index on this machine: a folder of projects, served as PEP 503 wants it."""

import http.server
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from components.data.sources.archive import Archive

Files = Mapping[str, bytes]


def wheel(files: Files) -> bytes:
    """A zip archive of the files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def sdist(files: Files) -> bytes:
    """A tar.gz archive of the files."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def archive(files: Files) -> Archive:
    """The files as parsers get them."""
    return Archive("test.whl", {name: len(data) for name, data in files.items()}, lambda name: files[name])


def publish(root: Path, project: str, filename: str, content: bytes) -> None:
    """Put a file into the index below a folder."""
    folder = root / "simple" / project
    folder.mkdir(parents=True, exist_ok=True)
    (folder / filename).write_bytes(content)
    links = [f'<a href="{path.name}">{path.name}</a>' for path in folder.iterdir() if path.name != "index.html"]
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")


@contextmanager
def serve(root: Path, cut_bodies: bool = False) -> Iterator[tuple[str, list[str]]]:
    """The address of the index below a folder, and the paths that were asked for; `cut_bodies` breaks downloads off."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(root))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            asked.append(self.path)
            if cut_bodies and self.path.endswith((".whl", ".gz")):
                self.send_response(200)
                self.send_header("Content-Length", "1000000")
                self.end_headers()
                self.wfile.write(b"half")
                return
            super().do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple/", asked
        finally:
            server.shutdown()
            thread.join()
