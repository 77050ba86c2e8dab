"""The `evaluate-champion` flow: scores the live model on the newest test data, every night."""

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed

from components.core import params
from components.core.errors import BadData
from components.core.git import git
from components.core.recipe import model_name
from components.evaluation.settings import Evaluate
from components.registry import nightly_scores, store
from components.registry.store import Version
from components.reports import score_table
from flows import recipes
from flows.dvc import graph
from flows.processes import locks, worktree
from flows.retraining import notifications

EVALUATED = "lmforge.champion.evaluated"
PREPARED = Path("data/prepared")


@flow(
    name="evaluate-champion",
    flow_run_name="evaluate champions",
    on_failure=[notifications.failed],
    on_crashed=[notifications.failed],
)
def evaluate_champion(recipe: str | None = None) -> State[None]:
    """Score the champion of each recipe afresh on the newest test data, and add the scores to its curve in MLflow.

    Args:
        recipe: Which model: the champion of lmforge-<recipe>; those of all recipes if this is empty.
    """
    names, main = [model_name(name) for name in recipes.chosen(recipe or None)], worktree.main_tree()
    with worktree.left_at_the_end(main):
        live = [store.find(name, store.CHAMPION) for name in names if store.CHAMPION in store.aliases(name)]
        if not live:
            return Completed(name="Skipped", message=f"{' and '.join(names)}: no champion yet")
        if main:
            take_newest_data(main)
        with locks.hold_accelerators(lambda: None):
            scored = [(version, _score(store.fetch(version.name, str(version.number)))) for version in live]
        return Completed(message="; ".join(_tell(version, scores) for version, scores in scored))


def take_newest_data(main: Path) -> None:
    """Check out the data that a run recorded last in the current worktree, from the cache of the main tree."""
    Path(graph.RECORD).write_text(newest_record(main), encoding="utf-8")
    graph.share_cache(str(main))


def newest_record(main: Path) -> str:
    """The `dvc.lock` of the main tree or of a branch `runs/…`, whichever is newer."""
    newest = git(
        main,
        "for-each-ref",
        "--sort=-committerdate",
        "--count=1",
        "--format=%(committerdate:unix) %(refname)",
        "refs/heads/runs",
    )
    ours = main / graph.RECORD
    if newest and (not ours.exists() or int(newest.split()[0]) > ours.stat().st_mtime):
        return git(main, "show", f"{newest.split()[1]}:{graph.RECORD}") + "\n"
    if not ours.exists():
        raise BadData(f"nothing has run yet, so there are no test data: {graph.RECORD} is not in {main}")
    return ours.read_text(encoding="utf-8")


def _score(package: Path) -> dict[str, Any]:
    from components.evaluation.evaluation import evaluate

    if not PREPARED.exists():
        raise BadData(f"{PREPARED} is neither here nor in DVC's cache: run the pipeline (`lmforge run`)")
    return evaluate(package, params.read("evaluate", Evaluate), "champion").scores


def _tell(champion: Version, scores: dict[str, Any]) -> str:
    """Report the scores: to MLflow, as an artifact and an event in Prefect, and in words."""
    metrics = nightly_scores.metrics(scores)
    run = nightly_scores.append(champion, metrics)
    create_table_artifact(
        [
            {"measure": name, "score": score, "interval": interval}
            for name, score, interval, _ in score_table.rows(scores)
        ],
        key=f"champion-{champion.recipe}",
        description=f"Scores of {champion.name} version {champion.number} on the newest test data",
    )
    emit_event(
        EVALUATED,
        resource={"prefect.resource.id": f"lmforge.model.{champion.name}", "prefect.resource.name": champion.name},
        payload={"version": champion.number, "run": run, **metrics},
    )
    said = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
    return f"{champion.name} version {champion.number}: {said}"
