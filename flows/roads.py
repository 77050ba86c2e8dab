"""Whether the sections of params.yaml fit together: what each model needs to be made.

A pretrained model needs a tokenizer and encoded documents; a recipe needs its base and, for the replay, documents.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.core.params import suggest
from components.core.recipe import BASE, PRETRAINED

NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
PRETRAINING = ("tokenizer", "encode", "pretrain")


def misfits(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each section that another one needs; faults within a section are left to others."""
    recipes = content.get("finetune", {})
    if not recipes and "pretrain" not in content:
        yield "it asks for no model: add the section `pretrain`, or a recipe to `finetune`"
    if "pretrain" in content:
        yield from (f"`pretrain` needs the section `{name}`" for name in PRETRAINING if name not in content)
    if isinstance(recipes, Mapping):
        yield from (line for name, recipe in recipes.items() for line in _of_recipe(name, recipe, content))
        yield from _of_gate(recipes, content.get("gate"))
    yield from _of_pairs(content)


def _of_recipe(name: str, recipe: Any, content: Mapping[str, Any]) -> Iterator[str]:
    if not NAME.fullmatch(name):
        yield f"finetune.{name}: a name has lower-case letters, digits and dashes, as stages and models are named by it"
    if name == BASE:
        yield f"finetune.{BASE}: this is the name of the pretrained model, so choose another one"
    if not isinstance(recipe, Mapping) or not isinstance(base := recipe.get("base"), str):
        return
    if base == str(PRETRAINED):
        if "pretrain" not in content:
            yield f"finetune.{name}.base is {base}, which the missing section `pretrain` makes"
        return
    if not (Path(base) / "config.json").exists():
        yield (
            f"finetune.{name}.base is {base}, which holds no config.json: `lmforge checkpoint add` gets a checkpoint, "
            f"`dvc pull {base}` one that is tracked"
        )
    missing = [section for section in ("tokenizer", "encode") if section not in content]
    if recipe.get("replay") and missing:
        yield (
            f"finetune.{name}.replay reads documents, which the missing section `{missing[0]}` makes: set replay: 0 "
            "and reads: data/prepared/examples"
        )


def _of_gate(recipes: Mapping[str, Any], gate: Any) -> Iterator[str]:
    """What the gate asks of recipes that there are not."""
    own = gate.get("recipes") if isinstance(gate, Mapping) else None
    for name in own if isinstance(own, Mapping) else ():
        if name not in recipes and not (name == BASE and not recipes):
            yield f"gate.recipes.{name} is no recipe; {suggest(name, [*recipes] or [BASE])}"


def _of_pairs(content: Mapping[str, Any]) -> Iterator[str]:
    pretrain, encode = content.get("pretrain"), content.get("encode")
    if isinstance(pretrain, Mapping) and isinstance(encode, Mapping):
        pairs = pretrain.get("objective") == "sequence_to_sequence"
        if pairs != encode.get("pairs"):
            yield f"encode.pairs has to be {str(pairs).lower()} for pretrain.objective {pretrain.get('objective')}"
