"""The commands about where a model comes from: `lineage`, `reproduce`, `diff`. Thin, like `flows.cli.main`."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from components.core.errors import BadSettings
from components.core.recipe import model_name

CHAMPION = "champion"

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Reference = Annotated[
    str,
    typer.Argument(metavar="MODEL@ALIAS", help="A version, such as lmforge-assistant@champion, @previous, @3 or 3."),
]


class _OrVersion(TyperGroup):
    """A group whose command `version` may be left out."""

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        named = bool(arguments) and (arguments[0] in self.commands or arguments[0] == "--help")
        return super().parse_args(context, arguments if named else ["version", *arguments])


lineage = typer.Typer(cls=_OrVersion, help="Where a version comes from; which steps and versions saw a document.")


@lineage.command("version")
def show_version(reference: Reference = f"@{CHAMPION}", as_json: AsJson = False) -> None:
    """Print where a version comes from; `version` may be left out: `lmforge lineage @champion`."""
    from components.lineage import chain

    found = chain.read(Path.cwd(), _find(reference))
    print(found.to_json() if as_json else chain.text(chain.links(found)))


@lineage.command("document")
def show_document(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Of a document or an example, or how it begins.")],
    as_json: AsJson = False,
) -> None:
    """Print which training steps, and which registered versions, saw a document or an example."""
    from components.data import takedown
    from components.lineage import exposure
    from flows import recipes
    from flows.cli import lineage_text

    known = exposure.known(Path.cwd(), [model_name(name) for name in recipes.asked()])
    began = time.perf_counter()
    found = exposure.find(known, identity)
    took = time.perf_counter() - began
    for line in lineage_text.as_json(found) if as_json else lineage_text.document(found, took):
        print(line)
    if not as_json and (entry := takedown.read().of(found.id)):
        print(f"taken down on {entry.date}: {entry.reason}")


@lineage.command("step")
def show_step(
    number: Annotated[int, typer.Argument(metavar="N", help="As in the curves: 1 is the first step.")],
    stage: Annotated[str, typer.Option(help="pretrain or finetune@assistant.")] = "pretrain",
    version: Annotated[str, typer.Option(help="Of this version, not of the model in the folder.")] = "",
    as_json: AsJson = False,
) -> None:
    """Print the documents or the examples that a training step read."""
    from components.lineage import exposure
    from flows.cli import lineage_text

    training = exposure.training(Path.cwd(), stage, _find(version) if version else None)
    began = time.perf_counter()
    seen = training.seen(number)
    took = time.perf_counter() - began
    for line in lineage_text.as_json(seen) if as_json else lineage_text.step(training, number, seen, took):
        print(line)


def reproduce(
    reference: Reference,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the worktree, to look at.")] = False,
) -> None:
    """Reproduce a version from its commit, settings and data; the exit code is 3 when the weights differ."""
    from flows.pipeline import reproduce as reproduction

    outcome = reproduction.reproduce(*split(reference), keep)
    print(outcome)
    raise typer.Exit(0 if outcome.identical else reproduction.DIFFERENT)


def diff(
    first: Annotated[str, typer.Argument(metavar="V1", help="A version, such as 1, previous or @champion.")],
    second: Annotated[str, typer.Argument(metavar="V2", help="The version to hold against it.")],
    as_json: AsJson = False,
) -> None:
    """Print what changed from one version to another: code, settings, data, sources, environment and scores."""
    from components.lineage import difference
    from flows.cli import lineage_text

    found = difference.between(Path.cwd(), _find(first), _find(second))
    for line in lineage_text.as_json(found) if as_json else lineage_text.difference(found):
        print(line)


def _find(reference: str) -> Any:
    from components.registry import store

    return store.find(*split(reference))


def split(reference: str) -> tuple[str, str]:
    """Model, and alias or number; the model may be left out where params.yaml has only one recipe."""
    from flows import recipes

    model, _, version = reference.rpartition("@")
    known = recipes.asked()
    if not model and len(known) > 1:
        whole = f"{model_name(known[0])}@{version}"
        raise BadSettings(f"params.yaml has the recipes {', '.join(known)}: name the model too, such as {whole}")
    return model or model_name(known[0]), version
