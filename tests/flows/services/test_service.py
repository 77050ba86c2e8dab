"""How services are started."""

import http.server
import threading

from flows.services import service


class Beginning(http.server.BaseHTTPRequestHandler):
    """A server that answers at once, and takes work at the third try."""

    tries = 0

    def do_GET(self) -> None:
        self._answer(200)

    def do_POST(self) -> None:
        type(self).tries += 1
        self._answer(201 if self.tries > 2 else 503)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, code: int) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def test_a_server_is_ready_when_it_takes_work() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Beginning) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = service.prefect(server.server_port)
        assert [found.is_ready for _ in range(3)] == [False, False, True]
        server.shutdown()


def test_the_pages_have_an_address_that_others_reach() -> None:
    everywhere = service.prefect(4200, "0.0.0.0")
    assert everywhere.url == "http://127.0.0.1:4200"
    assert "0.0.0.0" not in everywhere.page
    assert everywhere.settings["PREFECT_SERVER_UI_API_URL"] == f"{everywhere.page}/api"
    here = service.prefect(4200, "10.0.0.5")
    assert here.url == here.page == "http://10.0.0.5:4200"
