"""What comes before the graph: the version that training goes on from is pinned for the data that are listed."""

from pathlib import Path

from components.lineage import continuation
from flows import console
from flows.recipes import model_name


def pin_start(recipe: str) -> None:
    """Pin the champion of a recipe's models, where the settings ask for it and the data are new to it.

    Raises `BadSettings` when there is none, `BadData` when nothing is new.
    docs/decisions.md, "A start is pinned, and a stage puts it in place"
    """
    pinned = continuation.follow(Path.cwd(), model_name(recipe))
    if pinned:
        console.say("start", f"goes on from {pinned}" if pinned.has_weights else f"keeps the tokenizer of {pinned}")
