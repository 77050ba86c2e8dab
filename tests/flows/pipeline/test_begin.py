"""Which version is pinned before a run: the past of our base, and none for recipes on checkpoints."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from components.core import params, start
from components.core.errors import BadSettings
from flows.cli.lineage import split
from flows.pipeline.begin import past_model, pin_start
from tests.components.support.growing import Tree

BASES = {"first": "models/pretrained", "second": "models/pretrained", "other": "models/checkpoints/tiny"}


def add_recipes() -> None:
    """Put a recipe on each of these bases into params.yaml."""
    yaml = YAML(typ="safe")
    settings = yaml.load(params.PARAMS)
    recipe = settings["finetune"].pop("assistant")
    settings["finetune"] = {name: {**recipe, "base": base} for name, base in BASES.items()}
    yaml.dump(settings, params.PARAMS)


def test_the_past_of_a_base_is_the_champion_of_the_first_recipe_on_it_that_has_one(
    registry: Path,  # noqa: ARG001, the current folder, with a registry
    made: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tree = Tree("lmforge-second", made / "package")
    version = tree.registers(1)
    tree.arrives("first", "second")
    tree.goes_on(weights=True)
    add_recipes()
    pin_start(["other"])
    assert not start.PIN.exists(), "a recipe on a checkpoint has nothing to go on from"
    pin_start(["first", "other"])
    pinned = start.read()
    assert pinned is not None
    assert (pinned.model, pinned.version) == (version.name, version.number)
    assert f"goes on from {pinned}" in capsys.readouterr().out
    assert past_model() == "lmforge-second"
    with pytest.raises(BadSettings, match="first, other, second: name the model too, such as lmforge-first@champion"):
        split("@champion")
