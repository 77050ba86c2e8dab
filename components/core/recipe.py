"""What a recipe makes, by its name: the model in the registry, and the folders and stages that lead to it.

A recipe is a section below `finetune` in params.yaml. `base` stands for the pretrained model itself, which is a model
of its own where params.yaml has no recipe.
docs/decisions.md, "A recipe is a name"
"""

from pathlib import Path

BASE = "base"
PRETRAINED = Path("models/pretrained")
CHECKPOINTS = Path("models/checkpoints")
"""Where models of others are kept, a folder each."""

_MODEL = "lmforge-"


def model_name(recipe: str) -> str:
    """The name under which the registry keeps the models of a recipe."""
    return f"{_MODEL}{recipe}"


def of_model(name: str) -> str:
    """The recipe of a registered model."""
    return name.removeprefix(_MODEL)


def weights(recipe: str) -> Path:
    """The folder of its trained model."""
    return PRETRAINED if recipe == BASE else Path("models/finetuned") / recipe


def curves(recipe: str) -> Path:
    """The folder of the curves of its training, and of the examples that this read."""
    return Path("reports/training/pretrain") if recipe == BASE else Path("reports/training/finetune") / recipe


def evaluation(recipe: str) -> Path:
    """The folder of its scores."""
    return Path("reports/evaluation") / recipe


def package(recipe: str) -> Path:
    """The folder of its package."""
    return Path("models/package") / recipe


def training(recipe: str) -> str:
    """The stage that trains it."""
    return "pretrain" if recipe == BASE else f"finetune@{recipe}"


def stage(kind: str, recipe: str) -> str:
    """The stage of a kind, `evaluate` or `package`, of its model.

    `dvc.yaml` makes the stages of recipes of the section `finetune`, in which the base has no place.
    """
    return f"{kind}-{BASE}" if recipe == BASE else f"{kind}@{recipe}"
