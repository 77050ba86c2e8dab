"""Whether the sections of params.yaml fit together: each road has what it needs, and each gap is told."""

import copy
from pathlib import Path
from typing import Any

import pytest

from components.core import params
from flows import roads

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return params.load(ROOT / "params.yaml")


def lines(content: dict[str, Any]) -> list[str]:
    return list(roads.misfits(content))


def without(content: dict[str, Any], *sections: str) -> dict[str, Any]:
    return {name: copy.deepcopy(section) for name, section in content.items() if name not in sections}


@pytest.fixture
def on_checkpoint(content: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The settings of examples only, on a checkpoint."""
    (tmp_path / "config.json").write_text("{}")
    own = without(content, *roads.PRETRAINING)
    own["finetune"]["assistant"] |= {"base": str(tmp_path), "replay": 0, "reads": "data/prepared/examples"}
    return own


def test_each_road_has_what_it_needs(content: dict[str, Any], on_checkpoint: dict[str, Any]) -> None:
    assert lines(content) == []
    assert lines(without(content, "finetune")) == [], "documents only"
    assert lines(without(content, "finetune") | {"finetune": {}}) == []
    assert lines(on_checkpoint) == [], "examples only"


def test_no_model_is_told(content: dict[str, Any]) -> None:
    (line,) = lines(without(content, "finetune", *roads.PRETRAINING))
    assert line == "it asks for no model: add the section `pretrain`, or a recipe to `finetune`"


@pytest.mark.parametrize("gone", ["tokenizer", "encode"])
def test_pretraining_needs_tokens(content: dict[str, Any], gone: str) -> None:
    assert f"`pretrain` needs the section `{gone}`" in lines(without(content, gone))


def test_a_recipe_needs_its_base(content: dict[str, Any], on_checkpoint: dict[str, Any], tmp_path: Path) -> None:
    (line,) = lines(without(content, *roads.PRETRAINING))
    assert line == "finetune.assistant.base is models/pretrained, which the missing section `pretrain` makes"
    (tmp_path / "config.json").unlink()
    (line,) = lines(on_checkpoint)
    assert "`lmforge checkpoint add` gets a checkpoint" in line


def test_replay_needs_documents(on_checkpoint: dict[str, Any]) -> None:
    on_checkpoint["finetune"]["assistant"]["replay"] = 0.1
    (line,) = lines(on_checkpoint)
    assert line.startswith("finetune.assistant.replay reads documents, which the missing section `tokenizer` makes")


@pytest.mark.parametrize("name", ["My model", "base", "a_b"])
def test_a_recipe_has_a_name_that_stages_and_models_can_have(content: dict[str, Any], name: str) -> None:
    changed = without(content)
    changed["finetune"][name] = changed["finetune"].pop("assistant")
    (line,) = lines(changed)
    assert line.startswith(f"finetune.{name}: ")


def test_the_gate_knows_the_recipes(content: dict[str, Any]) -> None:
    changed = without(content)
    changed["gate"]["recipes"] = {"asistant": {"min_gain": 0.1}}
    assert lines(changed) == ["gate.recipes.asistant is no recipe; did you mean `assistant`?"]
    documents_only = without(content, "finetune")
    documents_only["gate"]["recipes"] = {"base": {"min_gain": 0.1}}
    assert lines(documents_only) == []
