"""Files behind an address: pinned, kept, and gone on with where a download broke off."""

import hashlib
import http.server
import threading
from collections.abc import Iterator

import fsspec
import pytest

from components.core.errors import BadData, BadSettings, TryAgain
from components.data.sources.remote import DOWNLOADS, pinned
from tests.components.data.support.files import read, source

CONTENT = b"".join(b'{"text": "row %d"}\n' % number for number in range(2000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """A file with an etag, in ranges too; `asked` has the ranges that were asked for."""

    asked: list[str | None]

    def do_HEAD(self) -> None:
        self.answer(False)

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Range"))
        self.answer(True)

    def answer(self, body: bool) -> None:
        if not self.path.startswith("/a.jsonl"):
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
        first, last = 0, len(CONTENT) - 1
        if wanted:
            start, _, end = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(end or last), last)
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", '"v1"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last + 1 - first))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(CONTENT)}")
        self.end_headers()
        if body:
            self.wfile.write(CONTENT[first : last + 1])

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture
def address() -> Iterator[str]:
    Handler.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a.jsonl"
        server.shutdown()


def test_a_file_is_fetched_once_by_its_pin(address: str) -> None:
    made = source(address, SHA256)
    records = read(made)
    assert len(records) == 2000
    assert records[0] == (f"{address}:1", "row 0", None)
    asked = len(Handler.asked)
    assert read(made) == records
    assert len(Handler.asked) == asked > 0


def test_an_etag_pins_too(address: str) -> None:
    made = source(address, files=pinned(address, None, "x"))
    assert made.files[0].etag == "v1"
    assert len(read(made)) == 2000
    with pytest.raises(BadData, match=r"`notes`: .*a.jsonl has changed: it has the etag v1, pinned is v0"):
        read(source(address, files=[{"path": address, "etag": "v0"}]))


def test_a_download_goes_on_where_it_broke_off(address: str) -> None:
    part = DOWNLOADS / SHA256 / "a.jsonl.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:10_000])
    assert len(read(source(address, SHA256))) == 2000
    assert any((asked or "").startswith("bytes=10000-") for asked in Handler.asked)


def test_another_content_is_refused_and_not_kept(address: str) -> None:
    with pytest.raises(BadData, match=r"a.jsonl has the sha256 .*, pinned is 0000"):
        read(source(address, "0" * 64))
    assert [path for path in DOWNLOADS.rglob("*") if path.is_file()] == []


def test_an_object_of_another_file_system_is_read_alike() -> None:
    with fsspec.open("memory://bucket/a.jsonl", "wb") as file:
        file.write(CONTENT)
    assert pinned("memory://bucket/a.jsonl", None, "x") == [{"path": "memory://bucket/a.jsonl", "sha256": SHA256}]
    assert len(read(source("memory://bucket/a.jsonl", SHA256))) == 2000


@pytest.mark.parametrize(
    ("path", "sha256", "kind", "line"),
    [
        ("https://127.0.0.1/a.jsonl", None, BadSettings, "needs a pin, its `sha256` or its `etag`"),
        ("memory://bucket/none.jsonl", SHA256, BadSettings, "there is no file memory://bucket/none.jsonl"),
        ("nothing://a.jsonl", SHA256, BadSettings, "Protocol not known: nothing"),
        ("http://127.0.0.1:1/a.jsonl", SHA256, TryAgain, "does not answer, try again later"),
    ],
)
def test_what_cannot_be_fetched_is_told(path: str, sha256: str | None, kind: type[Exception], line: str) -> None:
    with pytest.raises(kind, match=line):
        read(source(path, sha256))
