"""What comes before the graph: the version that training goes on from is pinned for the data that are listed."""

from collections.abc import Sequence
from pathlib import Path

from components.core.errors import BadSettings
from components.core.recipe import PRETRAINED, model_name
from components.lineage import continuation
from components.registry import store
from flows import console, recipes


def pin_start(names: Sequence[str]) -> None:
    """Pin a champion where the settings ask for it and the data are new, unless all these recipes are on checkpoints.

    Raises `BadSettings` when there is no champion, `BadData` when nothing is new.
    docs/decisions.md, "A start is pinned, and a stage puts it in place"
    """
    if not any(map(recipes.is_on_ours, names)):
        return
    pinned = continuation.follow(Path.cwd(), past_model())
    if pinned:
        console.say("start", f"goes on from {pinned}" if pinned.has_weights else f"has the tokenizer of {pinned}")


def past_model() -> str:
    """The model that the base goes on from, whichever recipes run: of the first recipe on it that has a champion.

    Raises `BadSettings` when no recipe is on the base.
    """
    models = [model_name(name) for name in recipes.asked() if recipes.is_on_ours(name)]
    if not models:
        raise BadSettings(f"params.yaml has no recipe with the base {PRETRAINED}, which alone goes on from a version")
    return next((model for model in models if store.CHAMPION in store.aliases(model)), models[0])
