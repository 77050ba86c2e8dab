"""A server whose database is busy at first, as Prefect's is on a machine under load."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def server_that_refuses(times: int) -> Iterator[int]:
    """The port of a server that answers at once, and refuses what it shall write so many times."""

    class Busy(http.server.BaseHTTPRequestHandler):
        left = times

        def do_GET(self) -> None:
            self._answer(200)

        def do_POST(self) -> None:
            Busy.left -= 1
            self._answer(201 if Busy.left < 0 else 503)

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, code: int) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(code)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    with http.server.HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
