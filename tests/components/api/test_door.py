"""Limits: who may ask, how much, how often; and a client that goes away gives back its place."""

import asyncio
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from components.api import keys
from components.api.admission import Rate
from components.api.errors import ApiError
from components.api.events import EventStream
from components.core.errors import BadSettings
from tests.components.support import serving
from tests.components.support.serving import SETTINGS, WRITER

LONG = {"model": WRITER, "prompt": "x", "max_tokens": 40, "n": 16, "temperature": 1.0, "logit_bias": {"0": -100}}
SHORT = {"model": WRITER, "prompt": "x", "max_tokens": 1}


def running(address: str) -> dict[str, float]:
    """The figures of the requests under way."""
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    found = {line.split()[0]: float(line.split()[1]) for line in lines if not line.startswith("#")}
    return {name: found[f"lmforge_{name}"] for name in ("running", "queued")}


def post(address: str, body: object, **more: object) -> httpx.Response:
    return httpx.post(f"{address}/v1/completions", json=body, timeout=120, **more)


@pytest.fixture(scope="module")
def narrow(registry, tmp_path_factory):  # noqa: ARG001
    """A server with one place, a queue of one, a key, and small bodies."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    key = keys.create(path, "alice")
    settings = replace(SETTINGS, max_concurrent=1, max_queued=1, max_wait_seconds=120, max_body_kilobytes=4, keys=path)
    with serving.running([WRITER], settings) as address:
        serving.await_version(address, WRITER, 1)
        yield address, {"authorization": f"Bearer {key}"}, path


def test_a_key_is_needed_and_can_be_taken_back(narrow):
    address, headers, path = narrow
    assert post(address, SHORT).status_code == 401
    assert (
        post(address, SHORT, headers={"authorization": "Bearer lmf-wrong"}).json()["error"]["code"] == "invalid_api_key"
    )
    assert post(address, SHORT, headers=headers).status_code == 200
    assert httpx.get(f"{address}/health").status_code == 200
    second = keys.create(path, "bob")
    assert post(address, SHORT, headers={"authorization": f"Bearer {second}"}).status_code == 200
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "bob" not in line))
    assert post(address, SHORT, headers={"authorization": f"Bearer {second}"}).status_code == 401
    assert second not in path.read_text()
    with pytest.raises(BadSettings, match="has a key of alice"):
        keys.create(path, "alice")


def test_a_body_has_a_size(narrow):
    address, headers, _ = narrow
    refused = post(address, {**SHORT, "prompt": "x" * 5000}, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
    parts = iter([b"x" * 3000, b"x" * 3000])
    assert httpx.post(f"{address}/v1/completions", content=parts, headers=headers).status_code == 413


def test_whoever_finds_the_queue_full_is_told_when_to_come_again(narrow):
    address, headers, _ = narrow
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda _: post(address, LONG, headers=headers), range(8))]
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 2
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_its_place(narrow, stream):
    address, headers, _ = narrow
    host, port = address.removeprefix("http://").split(":")
    request = httpx.Request("POST", f"{address}/v1/completions", json={**LONG, "stream": stream}, headers=headers)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"POST /v1/completions HTTP/1.1\r\n{head}\r\n".encode() + request.read())
        serving.until(lambda: running(address)["running"] == 1, "the request")
        if stream:
            connection.recv(100)
    serving.until(lambda: running(address)["running"] == 0, "its end")
    assert post(address, SHORT, headers=headers).status_code == 200


def test_an_answer_has_a_time_limit(registry):  # noqa: ARG001
    with serving.running([WRITER], replace(SETTINGS, timeout_seconds=0.01)) as address:
        serving.await_version(address, WRITER, 1)
        refused = post(address, LONG)
        assert (refused.status_code, refused.json()["error"]["code"]) == (504, "timeout")


def test_a_stream_has_a_time_limit():
    sent = []

    async def events():
        yield {"text": "a"}
        await asyncio.sleep(60)

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    asyncio.run(EventStream(events(), 0.1)({"type": "http"}, receive, send))
    first, *_, last = (message["body"] for message in sent if message["type"] == "http.response.body")
    assert json.loads(first.removeprefix(b"data: ")) == {"text": "a"}
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "timeout"
    assert not sent[-1]["more_body"]


def test_an_allowance_fills_up_again(monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    rate = Rate(60)
    for _ in range(60):
        rate.take("a")
    with pytest.raises(ApiError) as refused:
        rate.take("a")
    assert (refused.value.status, refused.value.headers["retry-after"]) == (429, "1")
    rate.take("b")
    now = 2.0
    rate.take("a")
    rate.take("a")
    with pytest.raises(ApiError):
        rate.take("a")


def test_pages_of_other_origins_may_call_only_where_the_settings_say_so():
    allowed, other = "https://example.org", "https://example.com"
    with serving.running([], replace(SETTINGS, cors_origins=(allowed,))) as address:
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
        before = httpx.options(f"{address}/v1/chat/completions", headers={"origin": allowed, **asked})
        assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, allowed)
        assert before.headers["access-control-allow-headers"] == "authorization"
        said = httpx.get(f"{address}/v1/models", headers={"origin": allowed})
        assert said.headers["access-control-allow-origin"] == allowed
        assert said.headers["access-control-expose-headers"] == "x-lmforge-version, x-lmforge-digest"
        assert httpx.options(f"{address}/v1/models", headers={"origin": other, **asked}).status_code == 400
        assert "access-control-allow-origin" not in httpx.get(f"{address}/v1/models", headers={"origin": other}).headers
    with serving.running([]) as address:
        assert "access-control-allow-origin" not in httpx.get(f"{address}/v1/models", headers={"origin": other}).headers
