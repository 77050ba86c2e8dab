"""The command `lmforge export`. Thin, like `flows.cli.main`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

EXPORTS = Path("exports")
"""Where exports are written, a folder for each version and format. Git ignores it."""


def export(
    kind: Annotated[Literal["gguf", "onnx", "safetensors"], typer.Argument(metavar="gguf|onnx|safetensors")],
    version: Annotated[str, typer.Argument(help="Alias or number of the version.")] = "champion",
    recipe: Annotated[str | None, typer.Option(help="Of the section finetune.", show_default="the only one")] = None,
    quantize: Annotated[Literal["q8_0", "q4_k_m"] | None, typer.Option(help="Round the weights of gguf.")] = None,
    texts: Annotated[int, typer.Option(min=100, help="How many texts to compare.")] = 10_000,
) -> None:
    """Write a version in a format of others, prove that they read it as we do, and keep it with the version."""
    from components.core.files import sha256
    from components.core.recipe import model_name
    from components.export import exporting
    from components.registry import store
    from flows import recipes

    name = model_name(recipes.one(recipe))
    found = store.find(name, version)
    form = f"{kind}-{quantize}" if quantize else kind
    made = exporting.export(
        store.fetch(name, str(found.number)),
        kind,
        EXPORTS / f"{name}-{found.number}" / form,
        name=f"{name}-{found.number}",
        prepared=Path("data/prepared"),
        texts=texts,
        quantize=quantize,
    )
    store.attach(found, made.folder, f"{EXPORTS}/{form}")
    store.note(found, {f"export.{form}": sha256(made.folder / exporting.PROOF)})
    for line in exporting.lines(made):
        print(line)
