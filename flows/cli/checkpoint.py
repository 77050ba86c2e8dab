"""The command `lmforge checkpoint add`. Thin, like `flows.cli.main`."""

from typing import Annotated

import typer

from components.core.errors import BadSettings
from components.core.recipe import BASE

checkpoint = typer.Typer(help="Models of others, to start from.", no_args_is_help=True)


@checkpoint.callback()
def _group() -> None:
    """Models of others, to start from."""


@checkpoint.command()
def add(
    reference: Annotated[str, typer.Argument(metavar="PATH|OWNER/NAME@COMMIT", help="A folder, or a hub model.")],
    name: Annotated[str | None, typer.Option(help="Of its folder.", show_default="as the model is called")] = None,
    recipe: Annotated[str | None, typer.Option(help="Set it as the base of this recipe of params.yaml.")] = None,
) -> None:
    """Copy or fetch a checkpoint into models/checkpoints, check that it can be trained, and let DVC track it."""
    from components.core import params
    from flows import recipes
    from flows.checkpoints import adding
    from flows.cli import additions
    from flows.dvc import graph

    if recipe and recipes.chosen(recipe) == (BASE,):
        raise BadSettings("params.yaml has no recipe: add one to the section `finetune` first")
    with adding.added(reference, name) as found:
        # The documents of `encode` are in the tokens of our own model, so it reads none of them again.
        base = {"base": str(found.folder), "replay": 0, "reads": "data/prepared/examples"}
        if recipe:
            changes = {f"finetune.{recipe}.{key}": value for key, value in base.items()}
            additions.write({params.PARAMS: additions.with_settings(changes)})
    print(found)
    asked = "; ".join(f"{key}: {value}" for key, value in base.items())
    print(f"params.yaml: finetune.{recipe} has {asked}" if recipe else f"a recipe starts from it by {asked}")
    print(f"commit {graph.record_of(found.folder)}; `dvc push` gives the checkpoint to others")
