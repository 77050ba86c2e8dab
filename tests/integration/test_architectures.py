"""The presets of the other architectures and forms, from the prepared data of a run of the decoder."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from components.data import listing
from components.model import hf
from components.registry import mlflow_model
from flows import presets, recipes
from flows.dvc import graph
from tests.integration.support.working_copy import WorkingCopy

pytestmark = pytest.mark.services

CLASSIFICATION = {"topic", "sentiment_en", "sentiment_zh"}
TRANSLATION = {"translation_en_zh", "translation_zh_en"}
PRESETS = [
    ("encoder", "eurobert", CLASSIFICATION | {"question_answering"}),
    ("encoder-decoder", "lmforge", CLASSIFICATION | {"question_answering", "description"}),
    ("translation", "marian", TRANSLATION),
]
PROMPTS = ["The river crosses the valley.\nTopic:", "Land 1. History: king.\nQuestion: History"]


@pytest.mark.parametrize(("preset", "form", "tasks"), PRESETS)
def test_the_stages_of_a_preset_end_in_a_package_that_answers(
    preset: str,
    form: str,
    tasks: set[str],
    finished: tuple[WorkingCopy, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All in this process; `make slow` has them run by the flow."""
    run_stages(preset, finished[0], tmp_path / "lmforge", monkeypatch)
    made = Path("models/package/assistant")
    check(made, form, tasks)
    monkeypatch.setattr(sys, "path", sys.path.copy())  # MLflow puts the code of the model on it
    mlflow_model.save(made, tmp_path / "model", "m-0")
    answer_prompts(str(tmp_path / "model"), made)


@pytest.mark.slow(reason="the stages run above, and the flow with the decoder in test_pipeline.py")
@pytest.mark.parametrize(
    ("preset", "form", "tasks"),
    [*PRESETS, ("bigrams", "lmforge", CLASSIFICATION | {"question_answering", "description"})],
)
def test_a_preset_leads_to_a_champion_that_answers(
    preset: str,
    form: str,
    tasks: set[str],
    finished: tuple[WorkingCopy, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = copied(finished[0], tmp_path / "lmforge")
    road = WorkingCopy(folder)
    road.run("flows.cli.main", "preset", preset, "smoke")
    output = road.run("flows.cli.main", "run")
    assert "lmforge-assistant version 1 (@champion)" in output, output
    check(folder / "models/package/assistant", form, tasks)
    assert "</html>" in (folder / "reports/report-assistant.html").read_text(encoding="utf-8")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/.lmforge/mlflow/mlflow.db")
    monkeypatch.setattr(sys, "path", sys.path.copy())
    answer_prompts("models:/lmforge-assistant@champion", folder / "models/package/assistant")


def run_stages(preset: str, finished: WorkingCopy, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the stages that the preset makes stale, in a folder that is the current one then."""
    monkeypatch.chdir(copied(finished, folder))
    store = finished.folder / ".lmforge/mlflow/mlflow.db"  # a new one takes seconds
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shutil.copy(store, folder.parent)}")
    presets.apply([preset, "smoke"])
    listing.refresh()
    for stage in graph.read_plan(recipes.targets(recipes.asked())).stale:
        for out in map(Path, stage.outs):
            shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
        _, _, _, module, *arguments = stage.command.split()  # exec python -m MODULE ARGUMENTS
        importlib.import_module(module).main(*arguments)


def copied(finished: WorkingCopy, folder: Path) -> Path:
    """A copy of the run without its state."""
    return Path(shutil.copytree(finished.folder, folder, symlinks=True, ignore=shutil.ignore_patterns(".lmforge")))


def check(made: Path, form: str, tasks: set[str]) -> None:
    """Whether a package has the form, and was scored on the tasks."""
    assert json.loads((made / "config.json").read_text())["model_type"] == form
    assert set(json.loads((made / "scores.json").read_text())["tasks"]) == tasks


def answer_prompts(uri: str, made: Path) -> None:
    """Ask a model as MLflow loads it: a label, a span of the prompt, or a text."""
    import mlflow

    labels = hf.load(made).config.labels
    answers = mlflow.pyfunc.load_model(uri).predict(PROMPTS)
    assert len(answers) == 2
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        assert answer in labels or answer in f"user\n{prompt}\nassistant\n" if labels else isinstance(answer, str)
