"""The roads that params.yaml can ask for, beside the whole one: documents alone, and recipes on a checkpoint."""

import copy as copies
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components.core.errors import BadData
from components.lineage import exposure
from flows import roads
from tests.integration.support.working_copy import WorkingCopy, copy
from tests.support import checkpoints

pytestmark = pytest.mark.services

Settings = dict[str, Any]


def change(road: WorkingCopy, edit: Callable[[Settings], None]) -> None:
    """Edit the settings of a working copy."""
    path, yaml = road.folder / "params.yaml", YAML(typ="safe")
    settings = yaml.load(path)
    edit(settings)
    yaml.dump(settings, path)


def test_documents_alone_end_in_a_base_that_continues_text(fresh: Path, tmp_path: Path) -> None:
    def documents_only(settings: Settings) -> None:
        del settings["finetune"]
        settings["ingest"]["take"] = ["documents"]
        last = {"share": 0.25, "weights": {"english": 1.0}}
        settings["pretrain"]["mixture"] = {
            "weights": {"chinese": 0.5},
            "epochs": {},
            "language_temperature": 1.0,
            "last_phase": last,
        }

    road = copy(fresh, tmp_path / "lmforge")
    change(road, documents_only)
    output = road.run("flows.cli.main", "run")
    assert "lmforge-base version 1 (@champion)" in output, output
    assert "bits per byte, sources equal" in output
    assert "finetune" not in output
    assert re.search(r"^pretrain +chinese: .*, 0\.0% of the last phase, ", output, re.MULTILINE), output
    assert "</html>" in (road.folder / "reports/report-base.html").read_text(encoding="utf-8")
    assert road.run("flows.cli.main", "chat", "The river crosses").strip()
    seen = exposure.training(road.folder, "pretrain", None)
    steps = [{row.source for row in seen.seen(step)} for step in range(1, seen.reading.steps + 1)]
    assert {"english"} in steps[-1:]
    assert {"english", "chinese"} in steps


def test_recipes_on_a_checkpoint_are_trained_from_examples_alone_each_for_itself(fresh: Path, tmp_path: Path) -> None:
    """Three models in one run: one is promoted, one kept back by its gate, and one cannot be trained at all."""

    def examples_only(settings: Settings) -> None:
        for section in roads.PRETRAINING:
            del settings[section]
        settings["ingest"]["take"] = ["topic"]
        recipe = settings["finetune"].pop("assistant")
        recipe |= {"tasks": {"topic": 1.0}, "max_prompt_tokens": 100, "max_answer_tokens": 40}
        broken = {"base": "models/checkpoints/broken"}
        names = {"damaged": broken, "kept": {}, "good": {}}
        settings["finetune"] = {name: copies.deepcopy(recipe) | own for name, own in names.items()}
        settings["gate"]["recipes"] = {"kept": {"min_margin": 1.0}}  # over the most frequent answer

    road = copy(fresh, tmp_path / "lmforge")
    tiny = checkpoints.write("llama", tmp_path / "tiny")
    added = road.run("flows.cli.main", "checkpoint", "add", str(tiny), "--recipe", "assistant")
    assert "models/checkpoints/tiny: llama, decoder" in added
    broken = Path(shutil.copytree(tiny, road.folder / "models/checkpoints/broken"))
    (broken / "model.safetensors").unlink()
    change(road, examples_only)

    process = road.start("flows.cli.main", "run")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == BadData.code, output
    assert "lmforge-good version 1 (@champion)" in output
    assert "lmforge-kept version 1 (@challenger)" in output
    assert "lmforge: finetune@damaged: models/checkpoints/broken holds no model.safetensors" in output
    assert not any(f"\n{stage}" in output for stage in (*roads.PRETRAINING, "evaluate-base", "evaluate@damaged"))
    assert road.run("flows.cli.main", "chat", "The king divides the war.\nTopic:", "--recipe", "good")
