"""The recipes that params.yaml asks for, and the one that a command means."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.core import params
from components.core.errors import BadSettings
from components.core.recipe import BASE, PRETRAINED, stage


def asked(path: Path = params.PARAMS) -> tuple[str, ...]:
    """The recipes of the section `finetune`; the base alone where there is none."""
    return tuple(params.load(path).get("finetune") or (BASE,))


def chosen(name: str | None) -> tuple[str, ...]:
    """The recipe of this name, or all. Raises `BadSettings` for one that params.yaml does not have."""
    known = asked()
    if name is not None and name not in known:
        raise BadSettings(f"params.yaml has no recipe `{name}`; {params.suggest(name, list(known))}")
    return known if name is None else (name,)


def one(name: str | None) -> str:
    """The recipe of this name, which may be one that params.yaml no longer has, or the only one.

    Raises `BadSettings` when there are several to choose from.
    """
    known = asked()
    if name is None and len(known) > 1:
        raise BadSettings(f"params.yaml has the recipes {', '.join(known)}: choose one by --recipe")
    return name or known[0]


def option(name: str) -> str:
    """The option that a command needs for this recipe: none where it is the only one."""
    return "" if asked() == (name,) else f" --recipe {name}"


def is_on_ours(name: str, path: Path = params.PARAMS) -> bool:
    """Whether a recipe starts from the pretrained model of params.yaml, or is that model."""
    recipes: Mapping[str, Any] = params.load(path).get("finetune") or {}
    return name == BASE or recipes[name]["base"] == str(PRETRAINED)


def targets(names: Sequence[str], path: Path = params.PARAMS) -> list[str]:
    """The last stages of the models of these recipes, with the evaluation of the base where it is ours."""
    on_ours = any(is_on_ours(name, path) for name in names)
    return [*(stage("package", name) for name in names), *([stage("evaluate", BASE)] if on_ours else ())]
