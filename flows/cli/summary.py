"""The summary at the end of a run: which model it made, how good it is, and where to look."""

import sys
from collections.abc import Sequence
from pathlib import Path

from components.core.recipe import model_name
from components.registry import store
from components.reports.score_table import read_scores, rows
from flows import recipes
from flows.pipeline.release import Release
from flows.services import pages

SHOWN = 3  # rules of the gate that fail


def show(releases: Sequence[Release]) -> None:
    """Print what became of the model of each recipe, and what a user may want to do next."""
    for release in releases:
        _show_release(release)
    if releases:
        _show_commands(releases)


def _show_release(release: Release) -> None:
    version = release.version
    aliases = ", ".join(f"@{alias}" for alias in release.aliases) or "no alias"
    print(f"\n{version.name} version {version.number} ({aliases})")
    print(release.decision)
    failed = [rule for rule in release.decision.rules if not rule.holds]
    for rule in failed[:SHOWN]:
        print(f"  {rule}")
    print()
    table = [("", "score", "95% interval", "baselines"), *rows(read_scores(release.recipe))]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _show_commands(releases: Sequence[Release]) -> None:
    command, names = _command(), [release.recipe for release in releases]
    print(f"\n{command} up      serves the pages of Prefect and MLflow")
    for name in names:
        if store.CHAMPION in store.aliases(model_name(name)):
            print(f"{command} chat{recipes.option(name)}    talks to the champion")
    for release in releases:
        if not release.decision.promote and release.decision.against != "itself":
            anyway = f"promote {release.version.number} --anyway --reason WHY{recipes.option(release.recipe)}"
            print(f"{command} {anyway}    makes it the champion all the same")
    for name in names:
        print(f"{pages.report(name)}    is the report page")


def _command() -> str:
    """How the user called this program: after `make run` it is not on their PATH."""
    program = Path(sys.argv[0])
    here = program.name == "lmforge" and program.is_relative_to(Path.cwd())
    return str(program.relative_to(Path.cwd())) if here else "lmforge"
