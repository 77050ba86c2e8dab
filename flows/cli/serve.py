"""The commands `lmforge serve` and `lmforge serve-key`. Thin, like `flows.cli.main`."""

from typing import Annotated

import typer


def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen at.", show_default="serve.host")] = None,
    port: Annotated[int | None, typer.Option(help="The port to listen at.", show_default="serve.port")] = None,
    recipe: Annotated[str | None, typer.Option(help="Only this one of params.yaml.", show_default="all")] = None,
) -> None:
    """Answer by OpenAI's API with the champions, and follow the registry. Ctrl-C ends it."""
    from flows import recipes
    from flows.services import answering

    answering.run(recipes.chosen(recipe), host, port)


def serve_key(name: Annotated[str, typer.Argument(help="Who gets the key; a word.")]) -> None:
    """Make an API key and print it; the file of serve.keys gets its hash."""
    from components.api import keys
    from components.api.settings import Serve
    from components.core import params
    from components.core.errors import BadSettings

    path = params.read("serve", Serve).keys
    if path is None:
        raise BadSettings("params.yaml: serve.keys is not set: name a file for the hashes, such as .lmforge/keys")
    print(keys.create(path, name))
