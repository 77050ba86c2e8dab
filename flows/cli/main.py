"""The `lmforge` command, kept thin: what takes long to import is imported by the command that needs it."""

import getpass
import importlib.metadata
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from components.core.errors import BadData, BadSettings, StageError, reporting_full_disk
from flows.cli import chat, checkpoint, data, export, lineage, production, serve, start, tokenizer
from flows.processes import environment

app = typer.Typer(
    help="From raw text to a registered, promoted language model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def main() -> NoReturn:
    """Run a command; an expected error becomes one line and an exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # which `nohup` sets
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        with reporting_full_disk():
            _check_encoding(sys.argv[1:])
            app()
    except StageError as error:
        print(f"lmforge: {error}", file=sys.stderr)
        sys.exit(error.code)
    sys.exit(0)


VersionNumber = Annotated[int, typer.Argument(help="Number of the version.")]
Recipe = Annotated[str | None, typer.Option(help="Of the section finetune.", show_default="the only one")]
Reason = Annotated[str, typer.Option(help="Why; it stands in the ledger.")]
By = Annotated[str, typer.Option(help="Who decides; it stands in the ledger.", show_default="you")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"lmforge {importlib.metadata.version('lmforge')}")
        raise typer.Exit


@app.callback()
def prepare(
    context: typer.Context,
    _: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """From raw text to a registered, promoted language model."""
    if context.resilient_parsing:  # the shell asks for completions
        return
    os.chdir(_root(Path.cwd()))
    environment.prepare()


@app.command()
def run(
    recipe: Annotated[str | None, typer.Option(help="Only this one of params.yaml.", show_default="all")] = None,
) -> None:
    """Bring the stages up to date, register each recipe's model, and promote it if it is better than the champion."""
    from flows import console, recipes, settings
    from flows.pipeline import forecast
    from flows.services import recovery
    from flows.services.server import prefect_server

    settings.check_run()
    recipes.chosen(recipe)
    with forecast.counting(), prefect_server() as server:
        from flows.cli import summary
        from flows.pipeline import train
        from flows.pipeline.release import Unfinished

        server.wait_until_ready()
        recovery.close_lost(f"{server.url}/api")
        console.say("prefect", f"watch this run at {server.url}/runs")
        failure = None
        try:
            releases = train.train_by_hand(recipe)
        except Unfinished as error:
            releases, failure = error.releases, error
    summary.show(releases)
    if failure:
        raise failure


@app.command()
def plan(
    recipe: Annotated[str | None, typer.Option(help="Only this one of params.yaml.", show_default="all")] = None,
) -> None:
    """Show for each stage whether it would run, and why; how long the run will take, and what training will cost."""
    from flows import recipes, settings
    from flows.pipeline import forecast

    settings.check_run()
    with forecast.counting():
        from components.data import listing
        from flows import console
        from flows.dvc import graph
        from flows.pipeline import begin
        from flows.retraining import source_rules

        for broken in source_rules.broken(listing.refresh()):
            console.say("sources", str(broken))
        names = recipes.chosen(recipe)
        begin.pin_start(names)
        found = graph.read_plan(recipes.targets(names))
        for stage in found.stages:
            console.say(stage.name, "cached" if stage.fresh else f"run: {'; '.join(stage.reasons)}")
        print(f"{len(found.stale)} of {len(found.stages)} stages would run")
        for name, line in forecast.trainings(found).items():
            console.say(name, line)
        for line in forecast.lines(found):
            console.say("time", line)


@app.command()
def register(recipe: Recipe = None) -> None:
    """Register the package as a version of the model; the same weights are registered once."""
    from flows import recipes
    from flows.promotion import flows

    version = flows.register(recipes.one(recipe))
    print(f"{version.name} version {version.number}")


@app.command()
def promote(
    version: VersionNumber,
    reason: Reason,
    by: By = "",
    recipe: Recipe = None,
    anyway: Annotated[bool, typer.Option("--anyway", help="Also against the gate, or after a rejection.")] = False,
) -> None:
    """Approve a version: make it the champion."""
    from flows import recipes
    from flows.promotion import commands

    commands.promote(recipes.one(recipe), version, by or _person(), reason, anyway)


@app.command()
def reject(version: VersionNumber, reason: Reason, by: By = "", recipe: Recipe = None) -> None:
    """Reject a version: it is not promoted."""
    from flows import recipes
    from flows.promotion import commands

    commands.reject(recipes.one(recipe), version, by or _person(), reason)


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Why; it stands in the ledger.")] = "none given",
    by: By = "",
    recipe: Recipe = None,
) -> None:
    """Make the previous champion the champion again."""
    from flows import recipes
    from flows.promotion import commands

    commands.rollback(recipes.one(recipe), by or _person(), reason)


@app.command()
def noise(
    seeds: Annotated[int, typer.Option(min=2, help="How many trainings to compare.")] = 5,
    steps: Annotated[int, typer.Option(min=1, help="Of each pretraining and fine-tuning, at most.")] = 200,
    recipe: Recipe = None,
) -> None:
    """Measure how much training runs differ by their seed alone, so that the gate takes it into account."""
    from flows import recipes, settings
    from flows.promotion import noise as measurement

    settings.check()
    print(measurement.measure(recipes.one(recipe), seeds, steps))


ledger = typer.Typer(help="What was decided about models, by whom and why.", invoke_without_command=True)
app.add_typer(ledger, name="ledger")


@ledger.callback()
def show_ledger(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Every entry whole, one a line.")] = False,
) -> None:
    """Print what was decided about models, by whom and why, the oldest first."""
    if context.invoked_subcommand is None:
        from flows.cli import ledger_text

        for line in ledger_text.as_json() if as_json else ledger_text.lines():
            print(line)


@ledger.command("verify")
def verify_ledger() -> None:
    """Check whether a line was changed, dropped, inserted, moved or cut off; if so, the exit code is 3."""
    from components.core.recipe import model_name
    from components.registry import transaction
    from flows import recipes
    from flows.cli import ledger_text

    found = transaction.examine([model_name(name) for name in recipes.asked()])
    for line in ledger_text.verdict(found):
        print(line)
    raise typer.Exit(BadData.code if found.faults else 0)


app.add_typer(data.app, name="data")
app.add_typer(lineage.lineage, name="lineage")
app.command()(lineage.reproduce)
app.command()(lineage.diff)
app.command()(start.start)
app.command()(export.export)
app.add_typer(tokenizer.app, name="tokenizer")
app.add_typer(checkpoint.checkpoint, name="checkpoint")
app.command()(chat.chat)
app.command()(serve.serve)
app.command()(serve.serve_key)
app.add_typer(production.app)


Host = Annotated[str, typer.Option(help="The address to listen at; the usual one is reached by this machine alone.")]
Port = Annotated[int | None, typer.Option(help="The port to listen at.", show_default="the usual one, or a free one")]


@app.command()
def up(
    host: Host = "127.0.0.1",
    prefect_port: Port = None,
    mlflow_port: Port = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, until Ctrl-C or SIGTERM.")] = False,
) -> None:
    """Start Prefect, MLflow, a worker and the deployments, in the background, and print where their pages are."""
    from components import tracking
    from flows import recipes, settings
    from flows.services import lifecycle, pages, supervisor

    settings.check()
    warning = lifecycle.warning(host)
    if warning:
        print(f"lmforge: {warning}", file=sys.stderr)
    options = supervisor.ListenOptions(host, prefect_port, mlflow_port)
    if foreground:
        supervisor.supervise(options)
        return
    for line in pages.addresses(lifecycle.up(options), recipes.asked()):
        print(line)
    print("`lmforge status` shows their status, `lmforge down` stops them.")
    tracking.send_leftovers()


@app.command()
def down() -> None:
    """Stop what `up` started; a training run in progress continues from its checkpoint after the next `up`."""
    from flows.services import lifecycle

    lifecycle.down()
    print("lmforge is down")


@app.command()
def status() -> None:
    """Show where the services are and their status; the exit code is 1 when something is wrong."""
    from flows import recipes
    from flows.cli import status as states

    found = states.look(recipes.asked())
    for line in found:
        print(line)
    raise typer.Exit(0 if all(line.good for line in found) else 1)


@app.command()
def doctor() -> None:
    """Check whether everything is in place, and print what to do where it is not."""
    from flows.cli import doctor as doctors

    findings = doctors.examine()
    for finding in findings:
        print(finding)
    raise typer.Exit(0 if all(finding.good for finding in findings) else 1)


@app.command()
def preset(
    names: Annotated[list[str], typer.Argument(help="Names of files in presets/, one laid after another.")],
) -> None:
    """Lay presets over params.yaml."""
    from flows import presets

    changes = presets.apply(names)
    for change in changes:
        print(change)
    chosen = f"the preset {' and '.join(names)}"
    print(f"params.yaml {'now has' if changes else 'had'} {chosen}{'' if changes else ' already'}")


def _check_encoding(arguments: list[str]) -> None:
    """Raise `BadSettings` for an argument that is not UTF-8: Python passes its bytes on as lone surrogates."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise BadSettings(f"{argument!a} is not UTF-8 text") from None


def _person() -> str:
    """The name of the current user, as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a user id without a name
        raise BadSettings("this system has no name for you: give --by NAME") from None


def _root(folder: Path) -> Path:
    """The nearest folder above that holds the graph."""
    for candidate in (folder, *folder.parents):
        if (candidate / "dvc.yaml").is_file():
            return candidate
    raise BadSettings(f"no dvc.yaml in {folder} or above it: go to your copy of the lmforge repository")


if __name__ == "__main__":
    main()
