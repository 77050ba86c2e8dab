"""The challenger beside the champion: in the shadow, as a canary; and the answers that are kept."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import httpx
import openai
import pytest

from components.core.recipe import model_name
from components.registry import ledger, store
from components.traffic import files, log
from components.traffic.files import ANSWERS, FEEDBACK
from components.traffic.settings import KeepAnswers
from tests.components.support import serving
from tests.components.support.serving import LABELLER, SETTINGS, WRITER

ASKED = [{"role": "user", "content": "The quick brown fox of ann@example.org"}]
KEEP = KeepAnswers(share=1.0, file_megabytes=1, max_megabytes=10)


@pytest.fixture(scope="module")
def shadowed(registry):  # noqa: ARG001
    """A server that keeps all answers, and asks the challenger everything too."""
    settings = replace(SETTINGS, shadow=1.0, log=KEEP)
    with pytest.MonkeyPatch.context() as patch, serving.running([WRITER, LABELLER], settings) as address:
        patch.setattr(log, "WRITE_EVERY", 0.2)
        serving.await_version(address, WRITER, 1)
        serving.until(lambda: serving.ready(address, WRITER)["challenger"], "the challenger")
        yield address


@pytest.fixture
def client(shadowed):
    with openai.OpenAI(base_url=f"{shadowed}/v1", api_key="none", max_retries=0) as found:
        yield found


def shadow(address: str) -> dict:
    return serving.ready(address, WRITER)["challenger"]["shadow"]


def kept(identity: str) -> list[dict]:
    rows = files.read(files.FOLDER, ANSWERS).to_pylist()
    return [row for row in rows if row["id"] == identity]


def test_the_challenger_is_compared_off_the_path_of_the_answer(shadowed, client):
    serving.until(lambda: serving.ready(shadowed, WRITER)["challenger"]["problem"] is None, "the challenger")
    before = shadow(shadowed)["requests"]
    said = client.chat.completions.create(model=WRITER, messages=ASKED, max_tokens=8)
    assert said.system_fingerprint.startswith("lmforge-writer-1-")
    serving.until(lambda: shadow(shadowed)["requests"] == before + 1, "the shadow")
    parts = [*client.chat.completions.create(model=WRITER, messages=ASKED, max_tokens=8, stream=True)]
    assert parts[-1].choices[0].finish_reason
    serving.until(lambda: shadow(shadowed)["requests"] == before + 2, "the shadow of a stream")
    body = {"model": WRITER, "task": "topic", "input": "A text about ships."}
    httpx.post(f"{shadowed}/v1/classify", json=body, timeout=60).raise_for_status()
    serving.until(lambda: shadow(shadowed)["requests"] == before + 3, "the shadow of a label")
    state = shadow(shadowed)
    assert state["failed"] == 0
    assert 0 <= state["agreement"] <= 1
    assert state["challenger"]["seconds"] > 0
    assert sum(state["champion"]["labels"].values()) == pytest.approx(1)
    page = httpx.get(f"{shadowed}/metrics").text
    assert 'lmforge_shadow_agreement{recipe="writer"}' in page
    assert 'lmforge_shadow_seconds{by="challenger",recipe="writer"}' in page
    client.chat.completions.create(model=f"{WRITER}@2", messages=ASKED, max_tokens=2)
    assert shadow(shadowed)["requests"] == before + 3


def test_answers_are_kept_and_judged(shadowed, client):
    said = client.chat.completions.create(model=WRITER, messages=ASKED, max_tokens=8, user="ann")
    body = {"id": said.id, "thumb": "down", "corrected": "Ask bob@example.org.", "consent": True, "user": "ann"}
    judged = httpx.post(f"{shadowed}/v1/feedback", json=body)
    assert judged.status_code == 200, judged.text
    parts = [*client.completions.create(model=WRITER, prompt="The", max_tokens=4, stream=True)]
    body = {"model": LABELLER, "inputs": {"text": "A text."}, "user": "ann"}
    labelled = httpx.post(f"{shadowed}/v1/tasks/topic", json=body, timeout=60).json()
    serving.until(lambda: kept(said.id) and kept(parts[0].id) and kept(labelled["id"]), "the rows")
    [row] = kept(said.id)
    assert (row["model"], row["version"], row["route"]) == ("lmforge-writer", 1, "/v1/chat/completions")
    assert json.loads(row["prompt"])[-1]["content"] == "The quick brown fox of <email>"
    assert (row["answer"], row["answer_tokens"]) == (said.choices[0].message.content, said.usage.completion_tokens)
    [label] = kept(labelled["id"])
    assert (label["task"], label["answer"]) == ("topic", labelled["data"][0]["label"])
    assert label["user"] == row["user"]
    [part] = kept(parts[0].id)
    assert part["answer"] == "".join(part.choices[0].text for part in parts)
    [verdict] = [row for row in files.read(files.FOLDER, FEEDBACK).to_pylist() if row["id"] == said.id]
    assert (verdict["thumb"], verdict["corrected"], verdict["consent"]) == ("down", "Ask <email>.", True)
    assert verdict["user"] == row["user"]
    assert 'lmforge_log_answers_total{outcome="written"}' in httpx.get(f"{shadowed}/metrics").text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "chatcmpl-unknown", "thumb": "up"}, 404),
        ({"id": "x"}, 400),
        ({"id": "x", "thumb": "sideways"}, 400),
        ({"id": "x", "thumb": "up", "consent": True}, 400),
    ],
)
def test_what_cannot_be_judged_is_refused(shadowed, body, status):
    assert httpx.post(f"{shadowed}/v1/feedback", json=body).status_code == status


def test_a_server_that_keeps_nothing_says_so(registry):  # noqa: ARG001
    with serving.running([], SETTINGS) as address:
        refused = httpx.post(f"{address}/v1/feedback", json={"id": "x", "thumb": "up"})
        assert refused.status_code == 404
        assert "serve.log" in refused.json()["error"]["message"]


@pytest.fixture
def narrower(registry, served_packages, tmp_path):  # noqa: ARG001
    """The number of a challenger with a window of 40 tokens, which loads well and has no room for longer prompts."""
    package = Path(shutil.copytree(served_packages[WRITER][1], tmp_path / "narrower"))
    config = json.loads((package / "config.json").read_text())
    (package / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 40}))
    number = store.register(package, model_name(WRITER), {}).number
    serving.point(WRITER, 1, number)
    yield number
    serving.point(WRITER, 1, 2)


def test_a_canary_that_fails_costs_no_answer_and_is_taken_back(narrower):
    settings = replace(SETTINGS, canary=0.5)
    with serving.running([WRITER], settings) as address:
        serving.await_version(address, WRITER, 1)
        serving.until(lambda: challenger(address).get("canary"), "the canary")
        assert ask(address, "Hi", 1) == 0
        versions: set[str] = set()
        serving.until(lambda: ask(address, "x" * 40, 8, versions) or challenger(address)["problem"], "the end")
        assert versions == {"lmforge-writer/1"}
        canary = challenger(address)["canary"]
        assert "of 11 pairs of requests in which one of the two failed, it did in 11" in canary["taken_back"]
        serving.until(lambda: said_of(narrower)[1:], "the entry in the ledger")
    began, ended = said_of(narrower)
    assert (began["share"], ended["taken_back"]) == (0.5, True)
    with serving.running([WRITER], settings) as address:
        serving.until(lambda: challenger(address).get("problem"), "the refusal")
        assert "was taken back: of 11 pairs" in challenger(address)["problem"]
        assert challenger(address)["canary"] is None


def challenger(address: str) -> dict:
    return serving.ready(address, WRITER)["challenger"] or {}


def ask(address: str, text: str, tokens: int, versions: set[str] | None = None) -> int:
    """Ask once, and note which version answered."""
    body = {"model": WRITER, "messages": [{"role": "user", "content": text}], "max_tokens": tokens}
    answer = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=120)
    assert answer.status_code == 200, answer.text
    if versions is not None:
        versions.add(answer.headers["x-lmforge-version"])
    return 0


def said_of(number: int) -> list[dict]:
    """What the ledger says about a version as a canary."""
    return [
        dict(entry.details) for entry in ledger.read() if entry.kind == "canary" and entry.details["version"] == number
    ]
