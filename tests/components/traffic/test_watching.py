"""From kept answers to what they tell, to examples, and to nothing: on a registry with a champion."""

import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.errors import BadData
from components.core.recipe import model_name
from components.data.sources import catalog
from components.data.sources.digests import digests
from components.evaluation.predictions import SCHEMA
from components.registry import store
from components.registry.store import CHALLENGER, CHAMPION, PREVIOUS
from components.traffic import files, forgetting, learning, log, watching
from components.traffic.files import ANSWERS, FEEDBACK, FOLDER
from components.traffic.log import Log, Verdict
from components.traffic.served import TEXT, Said, Served
from components.traffic.settings import KeepAnswers

MODEL = model_name("watched")
KEEP = KeepAnswers(share=1.0, file_megabytes=1, max_megabytes=10)


def question(order: random.Random, words: str = "ship river mountain train station") -> str:
    return f"Where is the {' '.join(order.choices(words.split(), k=5))}?"


def predictions() -> bytes:
    order, content = random.Random(0), io.BytesIO()
    rows = [
        {"example": str(n), "task": "topic", "prompt": question(order), "target": "a", "prediction": "Far away.",
         "score": 0.0, "weight": 1.0}
        for n in range(120)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), content)
    return content.getvalue()


@pytest.fixture
def champion(folder, mlflow_store, tiny_package) -> int:  # noqa: ARG001
    """The version of the champion, with the predictions of its evaluation."""
    number = store.register(tiny_package, MODEL, {}, {"predictions.parquet": predictions()}).number
    store.move(MODEL, {CHAMPION: number, PREVIOUS: None, CHALLENGER: None})
    return number


def keep(number: int, asked: list[str], answer: str = "Far away.", user: str = "ann", role: str = "user") -> list[str]:
    """Keep answers of a version; their ids."""
    kept, begin = Log(KEEP), sum(files.read(FOLDER, table).num_rows for table in (ANSWERS,))
    ids = [f"chatcmpl-{begin + place}" for place in range(len(asked))]
    for identity, text in zip(ids, asked, strict=True):
        said = [Said([{"role": role, "content": text}], answer, 2)]
        kept.keep(Served(identity, "/v1/chat/completions", MODEL, number, "00", user, said, 5, 0.1))
    kept.close()
    return ids


def judge(identity: str, corrected: str | None, consent: bool = True, user: str = "ann") -> None:
    thumb = "up" if corrected is None else "down"
    Log(KEEP).judge(Verdict(identity, 0, thumb, corrected, consent, user))


def test_what_is_asked_as_in_the_test_set_has_not_drifted(champion, monkeypatch):
    monkeypatch.setattr(log, "QUEUED", 1000)
    order = random.Random(1)
    keep(champion, [question(order) for _ in range(40)])
    with pytest.raises(BadData, match=r"40 requests .* 100 are needed"):
        watching.watch(MODEL, 0.25, 2000)
    ids = keep(champion, [question(order) for _ in range(80)])
    judge(ids[0], None)
    judge(ids[1], "At the coast.")
    found = watching.watch(MODEL, 0.25, 2000)
    assert (found.version, found.requests, found.answers) == (champion, 120, 120)
    assert found.most is None
    assert (found.thumbs, found.corrected) == ({"up": 1, "down": 1}, 1)
    keep(champion, [question(order, "bitcoin ledger token wallet miner") for _ in range(120)], "I cannot say.")
    found = watching.watch(MODEL, 0.25, 120)
    drifted = {(one.texts, one.dimension) for one in found.dimensions if one.drifted}
    assert {("inputs", "words"), ("outputs", "words")} <= drifted
    assert found.most.drifted


def test_corrected_answers_with_consent_become_a_source(champion):
    first, second, third = keep(champion, ["Which river?", "Which lake?", "Which sea of bob@example.org?"])
    [fourth] = keep(champion, ["Once upon"], role=TEXT)
    judge(first, "The Rhine.")
    judge(first, "The Po.")
    judge(second, "Lake Como.", consent=False)
    judge(third, "The Baltic.", user="eve")
    judge(fourth, " a time")
    assert learning.export(FOLDER, learning.EXPORTED) == 2
    entry = {
        "name": "feedback",
        "kind": "files",
        "license": "LicenseRef-feedback",
        "languages": ["en"],
        "yields": ["feedback"],
        "files": [{"path": str(learning.EXPORTED)}],
        "conversations": {"task": "feedback", "messages": "messages"},
    }
    source = catalog.parse(entry, Path("sources.yaml"))
    records = [*source.records(digests(source.local_files()))]
    assert [record.target for record in records] == ["The Po.", "The Baltic."]
    assert json.loads(records[1].inputs["messages"])[0]["content"] == "Which sea of <email>?"
    assert all(row["consent"] for row in learning.read(learning.EXPORTED))


def test_a_user_is_forgotten_everywhere(champion):
    [anns] = keep(champion, ["Which river?"], user="ann")
    [bobs] = keep(champion, ["Which lake?"], user="bob")
    judge(anns, "The Po.")
    judge(bobs, "Lake Como.", user="bob")
    judge(anns, "The Rhine.", user="bob")  # about what ann was answered
    learning.export(FOLDER, learning.EXPORTED)
    late = Log(KEEP)
    said = [Said([{"role": "user", "content": "Late"}], "Yes.", 1)]
    late.keep(Served("late", "/v1/chat/completions", MODEL, champion, "00", "ann", said, 5, 0.1))
    removed = forgetting.forget(FOLDER, learning.EXPORTED, "ann")
    late.close()  # what a server held in memory meanwhile does not come back
    assert removed == forgetting.Removed(1, 2, 1)
    assert [row["id"] for row in files.read(FOLDER, ANSWERS).to_pylist()] == [bobs]
    assert [row["id"] for row in files.read(FOLDER, FEEDBACK).to_pylist()] == [bobs]
    assert [row["id"] for row in learning.read(learning.EXPORTED)] == [bobs]
    keep(champion, ["A new question"], user="ann")
    assert files.read(FOLDER, ANSWERS).num_rows == 2
    assert forgetting.forget(FOLDER, learning.EXPORTED, "nobody") == forgetting.Removed(0, 0, 0)
