"""The `lmforge` command: thin. What takes long to import is imported by the command that needs it."""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from components.stage import BadSettings, StageError
from flows import environment

app = typer.Typer(
    help="From raw text to a registered, promoted language model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

RECIPE = "assistant"
MODEL = f"lmforge-{RECIPE}"


def main() -> NoReturn:
    """Run a command; an expected error is one line and its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except StageError as error:
        print(f"lmforge: {error}", file=sys.stderr)
        sys.exit(error.code)
    sys.exit(0)


@app.callback()
def prepare() -> None:
    """From raw text to a registered, promoted language model."""
    os.chdir(_root(Path.cwd()))
    environment.prepare()


@app.command()
def run() -> None:
    """Bring every stage up to date, register the model, and promote it if it is better than the champion."""
    from flows import console, services, settings

    settings.check()
    with services.prefect_server() as server:
        from flows import summary, training

        server.wait_until_ready(services.PREFECT_HEALTH)
        console.say("prefect", f"watch this run at {server.url}/runs")
        release = training.train(trigger="by hand", recipe=RECIPE)
    summary.show(release, RECIPE)


@app.command()
def plan() -> None:
    """Say of each stage whether it would run, and why; and what the trainings among them will cost."""
    from components.cost import estimate
    from flows import settings

    settings.check()
    with estimate.counting() as counting:
        from flows import console, dag

        found = dag.read_plan()
        console.show_plan(found)
        trainings = [stage.name for stage in found.stale if stage.name.partition("@")[0] in dag.TRAININGS]
        for name, line in (counting.lines(trainings) if trainings else {}).items():
            console.say(name, line)


@app.command()
def register() -> None:
    """Register the package as a version of the model; the same weights are registered once."""
    from flows import promotion

    version = promotion.register(RECIPE)
    print(f"{version.name} version {version.number}")


@app.command()
def promote(version: Annotated[int, typer.Argument(help="Number of the version.")]) -> None:
    """Make a version the champion, whatever the gate says of it."""
    from flows import services

    with services.prefect_server() as server:
        from flows import promotion

        server.wait_until_ready(services.PREFECT_HEALTH)
        promotion.promote(version, RECIPE)


@app.command()
def rollback() -> None:
    """Make the previous champion the champion again."""
    from flows import services

    with services.prefect_server() as server:
        from flows import promotion

        server.wait_until_ready(services.PREFECT_HEALTH)
        promotion.rollback(RECIPE)


@app.command()
def chat(
    prompt: Annotated[str | None, typer.Argument(help="Answer this, and exit.")] = None,
    version: Annotated[str, typer.Option(help="Alias or number of the version to talk to.")] = "champion",
    stop: Annotated[list[str] | None, typer.Option(help="A text that ends an answer; may be given again.")] = None,
) -> None:
    """Talk to the champion."""
    from components.registry import store
    from components.serving import chat as serving

    serving.chat(store.fetch(MODEL, version), prompt, stop or ())


@app.command()
def ui() -> None:
    """Serve the pages of Prefect and MLflow on this machine, until Ctrl-C."""
    from flows import pages

    pages.serve(MODEL)


@app.command()
def doctor() -> None:
    """Look whether everything is in place, and say what to do where it is not."""
    from flows import doctor as doctors

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


def _root(folder: Path) -> Path:
    """The nearest folder above that holds the graph."""
    for candidate in (folder, *folder.parents):
        if (candidate / "dvc.yaml").is_file():
            return candidate
    raise BadSettings(f"no dvc.yaml in {folder} or above it: go to your copy of the lmforge repository")


if __name__ == "__main__":
    main()
