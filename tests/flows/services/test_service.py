"""How services are started."""

from flows.services import service
from tests.flows.support.busy import server_that_refuses


def test_a_server_is_ready_when_it_takes_work() -> None:
    with server_that_refuses(2) as port:
        found = service.prefect(port)
        assert [found.is_ready for _ in range(3)] == [False, False, True]


def test_the_pages_have_an_address_that_others_reach() -> None:
    everywhere = service.prefect(4200, "0.0.0.0")
    assert everywhere.url == "http://127.0.0.1:4200"
    assert "0.0.0.0" not in everywhere.page
    assert everywhere.settings["PREFECT_SERVER_UI_API_URL"] == f"{everywhere.page}/api"
    here = service.prefect(4200, "10.0.0.5")
    assert here.url == here.page == "http://10.0.0.5:4200"
