"""The roads that params.yaml can ask for, beside the whole one: documents alone, and recipes on a checkpoint.

The data are somebody's own files in the forms that people have, added by `lmforge data add`.
"""

import copy as copies
import json
import re
import shutil
from contextlib import chdir
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from typer.testing import CliRunner

from components.core.errors import BadData
from components.lineage import exposure
from flows import roads
from flows.cli import data
from tests.integration.support.working_copy import Settings, WorkingCopy, change, copy
from tests.support import checkpoints, own_data

pytestmark = pytest.mark.services


def add(road: WorkingCopy, *arguments: str) -> str:
    """Run `lmforge data add`, which writes what it found without asking; what it printed."""
    with chdir(road.folder):
        result = CliRunner().invoke(data.app, ["add", *arguments, "--yes"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_german_text_alone_ends_in_a_base_that_continues_it(fresh: Path, tmp_path: Path) -> None:
    def documents_only(settings: Settings) -> None:
        del settings["finetune"]
        settings["ingest"] |= {"sources": "data/mine.yaml", "take": ["documents"]}
        settings["gate"]["max_personal_data"] = 0.01  # of 22 texts none may have personal data
        settings["pretrain"]["mixture"] = {
            "weights": {"articles": 0.5},
            "epochs": {},
            "language_temperature": 1.0,
            "last_phase": {"share": 0.25, "weights": {"books": 1.0}},
        }

    road = copy(fresh, tmp_path / "lmforge")
    change(road, documents_only)
    own_data.book(road.folder / "books/chronik.txt")
    own_data.articles(road.folder / "articles.jsonl")
    add(road, "books/*.txt", "--name", "books", "--license", "MIT")
    add(road, "articles.jsonl", "--license", "MIT")
    output = road.run("flows.cli.main", "run")
    assert "lmforge-base version 1 (@champion)" in output, output
    assert "bits per byte, sources equal" in output
    assert "finetune" not in output
    assert re.search(r"^pretrain +articles: .*, 0\.0% of the last phase, ", output, re.MULTILINE), output
    rows = ds.dataset(road.folder / "data/prepared/documents", format="parquet").to_table(columns=["language", "text"])
    assert set(rows["language"].to_pylist()) == {"de"}
    assert sum(map(len, rows["text"].to_pylist())) > 0.9 * (road.folder / "books/chronik.txt").stat().st_size
    assert "</html>" in (road.folder / "reports/report-base.html").read_text(encoding="utf-8")
    assert road.run("flows.cli.main", "chat", "Am Abend des").strip()
    seen = exposure.training(road.folder, "pretrain", None)
    steps = [{row.source for row in seen.seen(step)} for step in range(1, seen.reading.steps + 1)]
    assert {"books"} in steps[-1:]
    assert {"books", "articles"} in steps


FORMS = {
    "news": ("classification", "news.csv"),
    "sms": ("classification", "sms.tsv", "--columns", "label,text"),
    "ressort": ("classification", "ressorts.csv", "--language", "de"),
    "instruct": ("instruction", "instructions.json"),
    "talks": ("messages", "talks.jsonl"),
    "names": ("conll", "names.conll", "--columns", "token,pos,entity"),
}


def test_own_rows_of_each_form_are_learned_on_a_checkpoint_each_recipe_for_itself(fresh: Path, tmp_path: Path) -> None:
    """Three models in one run: one is promoted, one kept back by its gate, and one cannot be trained at all."""

    def examples_only(settings: Settings) -> None:
        for section in roads.PRETRAINING:
            del settings[section]
        settings["ingest"] |= {"sources": "data/mine.yaml", "take": ["topic"]}
        settings["finetune"]["assistant"] |= {
            "tasks": {"topic": 1.0},
            "max_prompt_tokens": 110,
            "max_answer_tokens": 50,
        }

    def several(settings: Settings) -> None:
        settings["ingest"]["take"].remove("topic")
        recipe = settings["finetune"].pop("assistant")
        del recipe["tasks"]["topic"]
        broken = {"base": "models/checkpoints/broken", "tasks": {"news": 1.0}}
        names = {"damaged": broken, "kept": {"tasks": {"news": 1.0}}, "good": {}}
        settings["finetune"] = {name: copies.deepcopy(recipe) | own for name, own in names.items()}
        settings["gate"]["recipes"] = {"kept": {"min_margin": 1.0}}  # over the most frequent answer

    road = copy(fresh, tmp_path / "lmforge")
    tiny = checkpoints.write("llama", tmp_path / "tiny")
    added = road.run("flows.cli.main", "checkpoint", "add", str(tiny), "--recipe", "assistant")
    assert "models/checkpoints/tiny: llama, decoder" in added
    broken = Path(shutil.copytree(tiny, road.folder / "models/checkpoints/broken"))
    (broken / "model.safetensors").unlink()
    own_data.write(road.folder)
    change(road, examples_only)
    for task, (form, file, *options) in FORMS.items():
        assert f"form        {form}" in add(road, file, "--name", task, "--recipe", "assistant", *options)
    assert "form        preference" in add(road, "pairs.jsonl", "--name", "taste")
    change(road, several)

    process = road.start("flows.cli.main", "run")
    output, _ = process.communicate(timeout=600)
    assert process.returncode == BadData.code, output
    assert "lmforge-good version 1 (@champion)" in output
    assert "lmforge-kept version 1 (@challenger)" in output
    assert "lmforge: finetune@damaged: models/checkpoints/broken holds no model.safetensors" in output
    assert not any(f"\n{stage}" in output for stage in (*roads.PRETRAINING, "evaluate-base", "evaluate@damaged"))
    scores = json.loads((road.folder / "reports/evaluation/good/scores.json").read_text())
    assert scores["tasks"].keys() == FORMS.keys()
    kept = ds.dataset(road.folder / "data/prepared/examples", format="parquet").to_table(columns=["task"])
    assert "taste" in kept["task"].to_pylist(), "preferences are kept for a later training"
    assert road.run("flows.cli.main", "chat", "The king divides the war.\nLabel:", "--recipe", "good")
