"""The stage `evaluate`, whole, on a tiny model of each architecture."""

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core import params
from components.core.errors import BadSettings
from components.core.progress import Progress
from components.evaluation import predictions, scores, selection
from components.evaluation.evaluation import evaluate
from components.evaluation.predictions import Predictor
from components.evaluation.selection import TaskExample
from components.evaluation.settings import Evaluate
from components.model import hf
from components.tasks import Task
from components.tokenizer.tokenizer import Tokenizer
from tests.components.support.prepared import TEXTS
from tests.components.support.settings import QUICK
from tests.components.support.tiny import ASKED, DEFINITIONS, TASKS, write_rows


@pytest.fixture(scope="module")
def evaluations(tiny_models, prepared, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("root"))
        return {
            kind: evaluate(folder, Evaluate(**QUICK), "tiny", prepared, definitions=DEFINITIONS)
            for kind, folder in tiny_models.items()
        }


@pytest.fixture
def evaluation(evaluations):
    return evaluations["decoder"]


def test_bits_per_byte_by_source_and_language_add_up(evaluation):
    found = evaluation.scores["bits_per_byte"]
    assert set(found["source"]) == {"source_0", "source_1"}
    assert set(found["language"]) == {"en", "zh"}
    for parts in (found["source"], found["language"]):
        assert sum(part["documents"] for part in parts.values()) == found["all"]["documents"] == 12
        bits = sum(part["value"] * part["bytes"] for part in parts.values())
        assert bits / found["all"]["bytes"] == pytest.approx(found["all"]["value"], rel=1e-5)


def test_sources_count_alike_or_by_their_bytes_in_the_test_split():
    rows = [("a", 10, 8.0), ("b", 10, 20.0)]
    losses = pa.table(
        {
            "document": [source for source, *_ in rows],
            "source": [source for source, *_ in rows],
            "language": ["en"] * 2,
            "bytes": [size for _, size, _ in rows],
            "nats": [bits * math.log(2) for *_, bits in rows],
        }
    )
    found = scores.bits_per_byte(losses, [9.0, 1.0], Evaluate(**QUICK))  # `a` has nine times the text
    assert found["all"]["value"] == pytest.approx((0.8 + 2.0) / 2)
    assert found["by_size"]["value"] == pytest.approx(0.9 * 0.8 + 0.1 * 2.0)


def test_every_task_has_a_score_with_an_interval_beside_its_baselines(evaluation):
    assert set(evaluation.scores["tasks"]) == set(TASKS)
    for name, score in evaluation.scores["tasks"].items():
        assert score["metric"] == TASKS[name].metric
        assert score["examples"] == 4
        for figure in (score, *score["baselines"].values()):
            assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1
    assert evaluation.scores["tasks"]["topic"]["baselines"]["tfidf_logistic_regression"]["value"] == 1


def test_a_baseline_also_answers_from_what_the_model_has_read(tiny_model, prepared, tmp_path, monkeypatch):
    """Taught a single label and a few tokens of each text, a linear classifier knows no more than the majority."""
    monkeypatch.chdir(tmp_path)
    found = evaluate(
        tiny_model,
        Evaluate(**QUICK),
        "tiny",
        prepared,
        train_ids={"topic-0", "topic-2", "unknown"},
        definitions=DEFINITIONS,
    )
    topic = found.scores["tasks"]["topic"]["baselines"]
    assert set(topic) == {"majority", "tfidf_logistic_regression", "tfidf_logistic_regression_same_input"}
    assert topic["tfidf_logistic_regression"]["value"] == 1
    assert topic["tfidf_logistic_regression_same_input"]["value"] == topic["majority"]["value"] == 0.5
    assert "words_after_is_same_input" not in found.scores["tasks"]["description"]["baselines"], "none was taught"


def test_predictions_hold_what_was_scored(evaluation):
    rows = evaluation.predictions.to_pylist()
    for row in rows:
        assert row["score"] == TASKS[row["task"]].score(row["prediction"], row["target"])
        assert row["prediction"] in TASKS[row["task"]].labels or not TASKS[row["task"]].labels
    topic = [row["score"] for row in rows if row["task"] == "topic"]
    assert sum(topic) / len(topic) == evaluation.scores["tasks"]["topic"]["value"]


@pytest.mark.parametrize(
    ("kind", "texts", "tasks"),
    [
        ("decoder", 2, set(TASKS)),
        ("encoder", 2, set()),  # before fine-tuning it can only fill in
        ("labels", 0, set(ASKED)),
        ("encoder_decoder", 2, set(TASKS)),
        ("original", 0, set(TASKS)),  # it was taught pairs of texts alone
    ],
)
def test_a_model_is_asked_what_it_was_taught(evaluations, kind, texts, tasks):
    found = evaluations[kind]
    assert set(found.scores["tasks"]) == tasks
    assert ("bits_per_byte" in found.scores) == bool(texts) == bool(len(found.losses))
    assert set(found.predictions["task"].to_pylist()) == tasks
    kinds = [sample["task"] for sample in found.samples]
    assert kinds == ["text"] * texts + [task for task in TASKS if task in tasks]


@pytest.mark.parametrize("kind", ["encoder", "encoder_decoder"])
def test_what_was_hidden_fills_the_holes_of_a_sample(evaluations, kind):
    for sample in evaluations[kind].samples[:2]:
        whole = "".join(piece.get("text", "") + piece.get("hidden", "") for piece in sample["pieces"])
        assert "\ufffd" in whole or any(text in whole or whole in text * 50 for text in TEXTS)
        assert any("said" in piece for piece in sample["pieces"])


def test_the_prompt_of_a_conversation_says_who_said_what() -> None:
    turns = [{"role": role, "content": role[0]} for role in ("system", "user", "assistant", "user")]
    asked = TaskExample("x", {"messages": json.dumps(turns)}, "yes")
    talk = Task(name="talk", kind="conversation", metric="chrf")
    assert predictions.table(talk, [asked], ["no"])["prompt"].to_pylist() == ["system: s\nu\nassistant: a\nu"]


def test_an_encoder_marks_its_answer_in_the_prompt(evaluations):
    marked = [row for row in evaluations["labels"].predictions.to_pylist() if row["task"] == "question_answering"]
    assert marked
    assert all(row["prediction"] in f"user\n{row['prompt']}\nassistant\n" for row in marked)


def test_files_are_the_same_every_time(evaluation, tiny_model, prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    again = evaluate(tiny_model, Evaluate(**QUICK), "tiny", prepared, definitions=DEFINITIONS)
    evaluation.write(tmp_path / "one")
    again.write(tmp_path / "two")
    for name in ("scores.json", "samples.json", "losses.parquet", "predictions.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert json.loads((tmp_path / "one/scores.json").read_text())["model"] == "tiny"
    assert pq.read_table(tmp_path / "one/losses.parquet").column_names == [
        "document", "source", "language", "bytes", "tokens", "nats",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("decoder", "topic"),
        ("decoder", "description"),
        ("labels", "topic"),
        ("labels", "question_answering"),
        ("original", "topic"),
        ("encoder_decoder", "description"),
    ],
)
def test_an_answer_does_not_depend_on_the_others(kind, task, tiny_models, prepared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tiny_models[kind]
    speaker = Predictor(
        hf.load(folder), Tokenizer.load(folder), max_prompt_tokens=80, max_new_tokens=8, repetition_penalty=1.0
    )
    examples = selection.examples(prepared / "examples/test", task)
    with Progress("evaluate", 1, "examples") as progress:
        together = speaker.predict(TASKS[task], examples, progress)
        alone = [speaker.predict(TASKS[task], [example], progress)[0] for example in examples]
    assert together == alone


def test_settings_say_what_is_wrong():
    with pytest.raises(BadSettings, match=r"confidence is 1\.5"):
        params.parse(QUICK | {"confidence": 1.5}, Evaluate, "params.yaml: evaluate")
    with pytest.raises(BadSettings, match="did you mean `max_examples`"):
        params.parse(QUICK | {"max_example": 5}, Evaluate, "params.yaml: evaluate")


def test_an_example_that_is_too_long_counts_as_answered_by_nothing(tiny_models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        rows = [
            {
                "id": f"{n}",
                "source": "books",
                "task": "question_answering",
                "inputs": json.dumps({"context": "The fox is here.", "question": question}),
                "target": "here",
                "license": "MIT",
            }
            for n, question in enumerate(["Where?", "Where? " * 500])
        ]
        write_rows(tmp_path / "examples" / split, rows)
        document = {"id": "1", "source": "books", "language": "en", "text": TEXTS[0], "license": "MIT", "origin": "x"}
        write_rows(tmp_path / "documents" / split, [document])
    found = evaluate(tiny_models["decoder"], Evaluate(**QUICK), "tiny", tmp_path, definitions=DEFINITIONS)
    score = found.scores["tasks"]["question_answering"]
    assert (score["examples"], score["unread"]) == (2, 1)
    long = found.predictions.to_pylist()[1]
    assert (long["prediction"], long["score"]) == ("", 0.0)
