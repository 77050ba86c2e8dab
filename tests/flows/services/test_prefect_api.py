"""What Prefect's API is asked, and how a busy server is treated."""

import pytest
import requests
from urllib3.util import Retry

from flows.services import prefect_api
from tests.flows.support.busy import server_that_refuses


def test_a_busy_server_is_asked_again() -> None:
    with server_that_refuses(2) as port:
        assert prefect_api.ask(f"http://127.0.0.1:{port}/api", "POST", "/flows/", {"name": "train"}) == {}


def test_patience_ends() -> None:
    with server_that_refuses(2) as port, pytest.raises(requests.RequestException, match="503"):
        prefect_api.ask(f"http://127.0.0.1:{port}/api", "POST", "/flows/", {"name": "train"}, Retry(1))


def test_a_refusal_is_an_error(prefect_url: str) -> None:
    with pytest.raises(requests.HTTPError, match="404"):
        prefect_api.ask(f"{prefect_url}/api", "GET", "/deployments/name/train/none")
