"""What comes before the graph: the version that training goes on from is pinned for the data that are listed."""

from collections.abc import Sequence
from pathlib import Path

from components.core.recipe import model_name
from components.lineage import continuation
from flows import console, recipes


def pin_start(names: Sequence[str]) -> None:
    """Pin the champion of the first of the recipes on our base, where the settings ask for it and the data are new.

    A base has one past: the other recipes begin at what comes of it. Raises `BadSettings` when there is no champion,
    `BadData` when nothing is new.
    docs/decisions.md, "A start is pinned, and a stage puts it in place"
    """
    for name in [name for name in names if recipes.is_on_ours(name)][:1]:
        pinned = continuation.follow(Path.cwd(), model_name(name))
        if pinned:
            console.say("start", f"goes on from {pinned}" if pinned.has_weights else f"keeps the tokenizer of {pinned}")
