"""The commands about what production tells: `watch`, `forget` and `feedback`. Thin, like `flows.cli.main`."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from components.traffic.watching import WatchedModel

app = typer.Typer()
feedback = typer.Typer(help="What users said about answers.", no_args_is_help=True)
app.add_typer(feedback, name="feedback")


@app.command()
def watch(
    recipe: Annotated[str | None, typer.Option(help="Of the section finetune.", show_default="the only one")] = None,
    last: Annotated[int, typer.Option(help="How many of the last requests are compared.", min=100)] = 2000,
    as_json: Annotated[bool, typer.Option("--json", help="All figures, for programs.")] = False,
) -> None:
    """Compare what users ask with the champion's test set; beyond max_drift a training run is requested."""
    import json
    from dataclasses import asdict

    from flows import recipes
    from flows.retraining import requests_drift

    found = requests_drift.look(recipes.one(recipe), last)
    said = requests_drift.act(found)
    if as_json:
        print(json.dumps(asdict(found) | {"drifted": found.most is not None, "action": said}))
        return
    for line in _table(found):
        print(line)
    print(f"{requests_drift.summary(found)}: {said}")


@app.command()
def forget(user: Annotated[str, typer.Argument(help="As requests name them in the field `user`.")]) -> None:
    """Remove what was kept of a user: answers, feedback, and examples made of it."""
    from components.traffic import files, forgetting, learning

    removed = forgetting.forget(files.FOLDER, learning.EXPORTED, user)
    print(f"removed from {files.FOLDER}: answers {removed.answers}, feedback {removed.feedback}")
    print(f"removed from {learning.EXPORTED}: examples {removed.examples}")
    if removed.examples:
        print("`lmforge run` trains without them; what registered versions have learned stays learned")


@feedback.command()
def export() -> None:
    """Write the corrected answers whose users consented as conversations, which a source can name."""
    from components.traffic import files, learning

    count = learning.export(files.FOLDER, learning.EXPORTED)
    print(f"{learning.EXPORTED} has {count} corrected answers")


def _table(found: "WatchedModel") -> list[str]:
    rows = [("", "index", "by chance", "most moved", "test set", "production")]
    rows += [
        (
            f"{one.dimension} of {one.texts}",
            f"{one.index:.3f}{'!' if one.drifted else ' '}",
            f"{one.chance:.3f}",
            one.most_moved,
            f"{one.before:.1%}",
            f"{one.now:.1%}",
        )
        for one in found.dimensions
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if not found.answers:
        lines.append(f"answers of version {found.version}: too few to compare")
    thumbs = found.thumbs
    return [*lines, f"feedback: {thumbs['up']} thumbs up, {thumbs['down']} down, {found.corrected} corrected answers"]
