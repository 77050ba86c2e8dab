"""The stage `evaluate`, whole, on a tiny model."""

import json

import pyarrow.parquet as pq
import pytest

from components import params
from components.evaluation import selection
from components.evaluation.evaluate import evaluate
from components.evaluation.predictions import Speaker
from components.evaluation.settings import Evaluate
from components.model import hf
from components.progress import Progress
from components.stage import BadSettings
from components.tasks import TASKS
from components.tokenizer.tokenizer import Tokenizer

SETTINGS = {
    "max_bytes_per_source": 2000, "max_examples": 4, "max_example_tokens": 80, "tokens_per_batch": 512,
    "max_new_tokens": 8, "repetition_penalty": 1.2, "samples": 1, "resamples": 100, "confidence": 0.95, "seed": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def evaluation(tiny_model, prepared, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("root"))
        return evaluate(tiny_model, Evaluate(**SETTINGS), "tiny", prepared)


def test_bits_per_byte_by_source_and_language_add_up(evaluation):
    scores = evaluation.scores["bits_per_byte"]
    assert set(scores["source"]) == {"source_0", "source_1"}
    assert set(scores["language"]) == {"en", "zh"}
    for parts in (scores["source"], scores["language"]):
        assert sum(part["documents"] for part in parts.values()) == scores["all"]["documents"] == 12
        bits = sum(part["value"] * part["bytes"] for part in parts.values())
        assert bits / scores["all"]["bytes"] == pytest.approx(scores["all"]["value"], rel=1e-5)


def test_every_task_has_a_score_with_an_interval_beside_its_baselines(evaluation):
    assert set(evaluation.scores["tasks"]) == set(TASKS)
    for name, score in evaluation.scores["tasks"].items():
        assert score["metric"] == TASKS[name].metric
        assert score["examples"] == 4
        for figure in (score, *score["baselines"].values()):
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert evaluation.scores["tasks"]["topic"]["baselines"]["tfidf_logistic_regression"]["value"] == 1


def test_predictions_hold_what_was_scored(evaluation):
    rows = evaluation.predictions.to_pylist()
    for row in rows:
        assert row["score"] == TASKS[row["task"]].score(row["prediction"], row["target"])
        assert row["prediction"] in TASKS[row["task"]].labels or not TASKS[row["task"]].labels
    topic = [row["score"] for row in rows if row["task"] == "topic"]
    assert sum(topic) / len(topic) == evaluation.scores["tasks"]["topic"]["value"]


def test_samples_come_from_each_source_and_each_task(evaluation):
    kinds = [sample["task"] for sample in evaluation.samples]
    assert kinds == ["text", "text", *TASKS]


def test_files_are_the_same_every_time(evaluation, tiny_model, prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    again = evaluate(tiny_model, Evaluate(**SETTINGS), "tiny", prepared)
    evaluation.write(tmp_path / "one")
    again.write(tmp_path / "two")
    for name in ("scores.json", "samples.json", "losses.parquet", "predictions.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert json.loads((tmp_path / "one/scores.json").read_text())["model"] == "tiny"
    assert pq.read_table(tmp_path / "one/losses.parquet").column_names == [
        "document", "source", "language", "bytes", "tokens", "nats",
    ]  # fmt: skip


@pytest.mark.parametrize("task", ["topic", "description"])
def test_an_answer_does_not_depend_on_the_others(task, tiny_model, prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    speaker = Speaker(
        hf.load(tiny_model), Tokenizer.load(tiny_model), max_example_tokens=90, max_new_tokens=8, repetition_penalty=1.0
    )
    examples = selection.examples(prepared / "examples/test", task)
    with Progress("evaluate", 1, "examples") as progress:
        together = speaker.predict(TASKS[task], examples, progress)
        alone = [speaker.predict(TASKS[task], [example], progress)[0] for example in examples]
    assert together == alone


def test_settings_say_what_is_wrong():
    with pytest.raises(BadSettings, match=r"confidence is 1\.5"):
        params.parse(SETTINGS | {"confidence": 1.5}, Evaluate, "params.yaml: evaluate")
    with pytest.raises(BadSettings, match="did you mean `max_examples`"):
        params.parse(SETTINGS | {"max_example": 5}, Evaluate, "params.yaml: evaluate")
