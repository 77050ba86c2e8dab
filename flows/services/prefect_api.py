"""Direct calls to Prefect's REST API: importing its own client takes longer than most commands, and 90 MB."""

import os
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

_WITHIN = 10.0  # seconds for an answer
# 503 means that the database is busy and nothing was written: Prefect's own client retries it as well.
_PATIENCE = Retry(4, connect=0, read=0, status_forcelist=[503], allowed_methods=None, backoff_factor=0.5)


def ask(api: str, method: str, path: str, body: Any = None, patience: Retry = _PATIENCE) -> Any:
    """Call the API at an address such as `http://127.0.0.1:4200/api`; returns the parsed answer, None if it is empty.

    Raises `requests.RequestException` when the server is unreachable or refuses.
    """
    name, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=patience))
        auth = (name, password) if name else None
        answer = session.request(method, f"{api}{path}", json=body, auth=auth, timeout=_WITHIN)
    answer.raise_for_status()
    return answer.json() if answer.content else None


def takes_work(api: str) -> bool:
    """Whether the server accepts writes: one that has just started may answer before its database is ready.

    Creating the flow a second time changes nothing.
    """
    with suppress(requests.RequestException):
        ask(api, "POST", "/flows/", {"name": "train"}, Retry(0))
        return True
    return False
