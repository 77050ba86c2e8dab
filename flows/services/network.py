"""Addresses and ports of this machine, and whether a server answers there."""

import json
import os
import socket
import ssl
import tempfile
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from components.core.errors import TryAgain
from flows.processes import locks

HOST = "127.0.0.1"

_WILDCARDS = ("0.0.0.0", "::")

# Whether a server answers is asked, not who it is: its certificate may be for another name.
_unverified = urllib.request.HTTPSHandler(context=ssl._create_unverified_context())
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), _unverified)


def answers(url: str) -> bool:
    """Whether a server answers at the address, with whatever status."""
    try:
        with _direct.open(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def read_json(url: str) -> Any:
    """What a server answers in JSON, with whatever status. Raises `OSError` or `ValueError` when it does not."""
    try:
        with _direct.open(url, timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as answer:
        with answer:
            return json.load(answer)


def listens(pid: int, url: str) -> bool:
    """Whether a process, or a descendant of it, listens on the port of an address."""
    port = urlsplit(url).port
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in one.net_connections("tcp")):
                return True
    return False


def free_port(wanted: int, host: str = HOST) -> int:
    """The wanted port, or another one if it is taken, even if only by a server elsewhere that is just starting."""
    claim = Path(tempfile.gettempdir()) / f"lmforge-{os.getuid()}-port-{wanted}"
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((host, port))
                if port == 0 or locks.keep(claim):
                    return int(probe.getsockname()[1])
    raise TryAgain(f"no port is free on {host}")


def is_free(port: int, host: str) -> bool:
    """Whether a server can listen on a port now; `free_port` may have claimed it for that server."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def reached_at(host: str) -> str:
    """The address at which other machines reach a server that listens on `host`, which may be a wildcard."""
    if host not in _WILDCARDS:
        return host
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))  # a reserved address (RFC 5737); nothing is sent
        return str(probe.getsockname()[0])
    return HOST


def url(host: str, port: int, scheme: str = "http") -> str:
    """The address at which programs on this machine reach a server that listens on `host`."""
    return f"{scheme}://{HOST if host in _WILDCARDS else host}:{port}"
