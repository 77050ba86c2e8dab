"""What comes before the graph: the version that training goes on from is pinned for the data that are listed."""

from collections.abc import Sequence
from pathlib import Path

from components.core.recipe import model_name
from components.lineage import continuation
from components.registry import store
from flows import console, recipes


def pin_start(names: Sequence[str]) -> None:
    """Pin a champion where the settings ask for it and the data are new, unless all these recipes are on checkpoints.

    A base has one past, whichever recipes run: the first recipe on it that has a champion. Raises `BadSettings` when
    there is no champion, `BadData` when nothing is new.
    docs/decisions.md, "A start is pinned, and a stage puts it in place"
    """
    ours = [name for name in recipes.asked() if recipes.is_on_ours(name)]
    if not set(ours) & set(names):
        return
    models = [model_name(name) for name in ours]
    past = next((model for model in models if store.CHAMPION in store.aliases(model)), models[0])
    pinned = continuation.follow(Path.cwd(), past)
    if pinned:
        console.say("start", f"goes on from {pinned}" if pinned.has_weights else f"has the tokenizer of {pinned}")
