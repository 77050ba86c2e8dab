"""The road with each of the other architectures and forms, from the stages that a decoder has finished on."""

import json
import shutil
from pathlib import Path

import pytest

from components.model import hf
from tests.integration.support.road import Road

pytestmark = pytest.mark.services

CLASSIFICATION = {"topic", "sentiment_en", "sentiment_zh"}
TRANSLATION = {"translation_en_zh", "translation_zh_en"}


@pytest.mark.parametrize(
    ("preset", "form", "tasks"),
    [
        pytest.param(
            "bigrams", "lmforge", CLASSIFICATION | {"question_answering", "description"},
            marks=pytest.mark.slow(reason="the road of the decoder; n-grams are in the tests of components/model"),
        ),
        ("encoder", "eurobert", CLASSIFICATION | {"question_answering"}),
        ("encoder-decoder", "lmforge", CLASSIFICATION | {"question_answering", "description"}),
        ("translation", "marian", TRANSLATION),
    ],
)  # fmt: skip
def test_a_preset_leads_to_a_champion_that_answers(
    preset: str,
    form: str,
    tasks: set[str],
    finished: tuple[Road, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "lmforge"
    shutil.copytree(finished[0].folder, folder, symlinks=True, ignore=shutil.ignore_patterns(".lmforge"))
    road = Road(folder)
    road.run("flows.cli.main", "preset", preset, "smoke")
    output = road.run("flows.cli.main", "run")
    assert "lmforge-assistant version 1 (@champion)" in output, output

    package = folder / "models/package/assistant"
    assert json.loads((package / "config.json").read_text())["model_type"] == form
    assert set(json.loads((package / "scores.json").read_text())["tasks"]) == tasks
    assert "</html>" in (folder / "reports/report.html").read_text(encoding="utf-8")
    labels = hf.load(package).config.labels

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/.lmforge/mlflow/mlflow.db")
    import mlflow

    prompts = ["The river crosses the valley.\nTopic:", "Land 1. History: king.\nQuestion: History"]
    answers = mlflow.pyfunc.load_model("models:/lmforge-assistant@champion").predict(prompts)
    assert len(answers) == 2
    for prompt, answer in zip(prompts, answers, strict=True):
        assert answer in labels or answer in f"user\n{prompt}\nassistant\n" if labels else isinstance(answer, str)
