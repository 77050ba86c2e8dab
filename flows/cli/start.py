"""The command `lmforge start`: the version that training goes on from. Thin, like `flows.cli.main`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.lineage import CHAMPION


def start(
    reference: Annotated[
        str, typer.Argument(metavar="VERSION", help="Alias or number of the version to go on from, or MODEL@VERSION.")
    ] = CHAMPION,
) -> None:
    """Pin the version that training goes on from, for `dvc repro`; `lmforge run` pins the champion by itself."""
    from components.core import start as starts
    from components.data import listing
    from components.lineage import continuation
    from components.registry import store
    from flows.pipeline import begin

    listing.refresh()
    model, _, version = reference.rpartition("@")
    pinned = continuation.pin(Path.cwd(), store.find(model or begin.past_model(), version))
    what = "its weights and its tokenizer" if pinned.has_weights else "its tokenizer (pretrain.start is not champion)"
    print(f"{starts.PIN} pins {pinned}: {what}")
