"""The server follows the registry: no request is lost or mixed when the champion changes, whatever becomes of it."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest

from components.core.recipe import model_name
from components.registry import store
from components.serving import answering
from components.serving.request import conversation
from tests.components.support import serving, tiny
from tests.components.support.serving import WRITER

ASKED = [{"role": "user", "content": "The quick brown fox"}]
CLIENTS = 32
SWAPS = 20


@pytest.fixture(scope="module")
def said(served_packages: dict[str, list[Path]]) -> dict[str, str]:
    """What each version says, by the header that names it."""
    models = map(answering.load, served_packages[WRITER])
    return {
        f"{model_name(WRITER)}/{number}": model.answers([conversation(ASKED)], model.defaults)[0]
        for number, model in enumerate(models, start=1)
    }


class Clients:
    """Requests without a pause, half of them streamed, and what came of them: version, fingerprint, text."""

    def __init__(self, address: str) -> None:
        self.answers: list[tuple[str, str, str]] = []
        self.ended = threading.Event()
        self._client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120)

    def ask(self, number: int) -> None:
        while not self.ended.is_set():
            raw = self._client.chat.completions.with_raw_response.create(
                model=WRITER, messages=ASKED, stream=number % 2 == 0
            )
            version = raw.headers["x-lmforge-version"]
            if number % 2:
                found = raw.parse()
                prints, text = {found.system_fingerprint}, found.choices[0].message.content
            else:
                parts = [*raw.parse()]
                prints = {part.system_fingerprint for part in parts}
                text = "".join(part.choices[0].delta.content or "" for part in parts)
                assert parts[-1].choices[0].finish_reason, "a stream was cut off"
            assert len(prints) == 1, "an answer is of two versions"
            self.answers.append((version, prints.pop(), text))


def swap_under_load(address: str, swaps: int, requests: int) -> list[tuple[str, str, str]]:
    """Move the champion back and forth while clients ask, until there are so many answers."""
    clients = Clients(address)
    with ThreadPoolExecutor(CLIENTS) as pool:
        under_way = [pool.submit(clients.ask, number) for number in range(CLIENTS)]
        try:
            for swap in range(swaps):
                number = 2 - swap % 2
                serving.point(WRITER, number)
                serving.await_version(address, WRITER, number)
                wanted = requests * (swap + 1) // swaps
                serving.until(lambda n=wanted: len(clients.answers) >= n or any(f.done() for f in under_way), "answers")
        finally:
            clients.ended.set()
        for one in under_way:
            one.result()
    return clients.answers


def check(answers: list[tuple[str, str, str]], said: dict[str, str]) -> None:
    assert {version for version, _, _ in answers} == said.keys()
    for version, fingerprint, text in answers:
        assert fingerprint.startswith(version.replace("/", "-"))
        assert text == said[version]


def test_no_request_is_lost_or_mixed_when_the_champion_changes(address, said):
    answers = swap_under_load(address, SWAPS, requests=200)
    assert len(answers) >= 200
    check(answers, said)


@pytest.mark.slow("10,000 requests show what 200 show")
def test_none_of_many_requests_is_lost_or_mixed(address, said):
    answers = swap_under_load(address, SWAPS, requests=10_000)
    assert len(answers) >= 10_000
    check(answers, said)


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_serving(address, said, served_packages, tmp_path):
    serving.point(WRITER, 1)
    serving.await_version(address, WRITER, 1)
    broken = tiny.vary(served_packages[WRITER][0], tmp_path / "broken", 3)
    (broken / "config.json").write_text("{}")
    number = store.register(broken, model_name(WRITER), {}).number
    serving.point(WRITER, number)
    serving.until(lambda: serving.ready(address, WRITER)["failure"], "the failure")
    state = serving.ready(address, WRITER)
    assert (state["version"], state["failure"]["version"]) == (1, number)
    assert "cannot be loaded" in state["failure"]["reason"]
    with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        assert client.chat.completions.create(model=WRITER, messages=ASKED).choices[0].message.content in said.values()
        with pytest.raises(openai.APIStatusError, match="cannot be loaded"):
            client.chat.completions.create(model=f"{WRITER}@{number}", messages=ASKED)
    serving.point(WRITER, 2)
    serving.await_version(address, WRITER, 2)
    assert serving.ready(address, WRITER)["failure"] is None


def test_a_package_that_is_removed_and_a_registry_that_is_away_change_nothing(address, said, monkeypatch):
    serving.point(WRITER, 1)
    serving.await_version(address, WRITER, 1)
    shutil.rmtree(Path(".lmforge/packages"))
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        serving.until(lambda: httpx.get(f"{address}/ready").json()["registry"], "the registry's absence")
        body = {"model": WRITER, "messages": ASKED}
        found = httpx.post(f"{address}/v1/chat/completions", json=body).json()
        assert found["choices"][0]["message"]["content"] == said[f"{model_name(WRITER)}/1"]
    serving.until(lambda: not httpx.get(f"{address}/ready").json()["registry"], "the registry")


def test_a_server_without_a_champion_waits_for_one(registry):  # noqa: ARG001
    with serving.running(["nobody"]) as address:
        assert httpx.get(f"{address}/ready").status_code == 503
        body = {"model": "nobody", "messages": ASKED}
        refused = httpx.post(f"{address}/v1/chat/completions", json=body)
        assert refused.status_code == 503
        assert "no champion yet" in refused.json()["error"]["message"]
