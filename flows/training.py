"""The `train` flow: from the graph of stages to a registered and, if it is better, promoted model."""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, as_completed

from components.evaluation import report
from components.registry import lineage, store
from components.registry.gate import Decision
from components.registry.store import Version
from components.stage import TryAgain, write_atomically
from flows import artifacts, dag, locks, stages
from flows.dag import Plan
from flows.promotion import gate_model, promote_model, register_model

REPORT = Path("reports/report.html")


@dataclass(frozen=True)
class Release:
    """How a run ended: the version of its model, what the gate said of it, and the aliases that it now has."""

    version: Version
    decision: Decision
    aliases: tuple[str, ...]


@flow(name="train", flow_run_name="{trigger}")
def train(trigger: str = "by hand", recipe: str = "assistant") -> Release:  # noqa: ARG001, the run's name
    """Bring every stage up to date, then register the recipe's package, judge it, and promote it if it is better.

    Raises `StageFailed` when a stage fails, `StageError` when something around them does; both carry an exit code.
    """
    with stages.supervised(), locks.hold("run", "another run is at work in this folder: wait for it, or stop it"):
        plan = dag.read_plan()
        artifacts.show_plan(plan)
        run_graph(plan)
        check_nothing_changed()
        version = register_model(recipe)
        decision = gate_model(version)
        promote_model(version, decision)
        release = Release(version, decision, _aliases(version))
        write_report(recipe, release)
        return release


def run_graph(plan: Plan) -> None:
    """Run each stage as soon as those before it are done; after a failure begin no other, and raise it."""
    waiting = list(plan.stages)
    running: dict[PrefectFuture[State[None]], str] = {}
    done: dict[str, PrefectFuture[State[None]]] = {}
    failed: list[PrefectFuture[State[None]]] = []
    while True:
        ready = [stage for stage in waiting if not failed and all(name in done for name in stage.upstream)]
        for stage in ready:
            waiting.remove(stage)
            upstream = [done[name] for name in stage.upstream]
            future = stages.run_stage.submit(stage.name, stage.fresh, wait_for=upstream, return_state=False)
            running[future] = stage.name
        if not running:
            break
        future = next(as_completed(list(running)))
        future.wait()
        name = running.pop(future)
        if future.state.is_completed():
            done[name] = future
        else:
            failed.append(future)
    if plan.stale:
        dag.sort_record()
    for future in failed:
        future.result()


def check_nothing_changed() -> None:
    """What is registered has to be what the folder holds: raise `TryAgain` when somebody edited it meanwhile."""
    stale = dag.read_plan().stale
    if stale:
        why = "; ".join(f"{stage.name}: {', '.join(stage.reasons)}" for stage in stale)
        raise TryAgain(f"something changed during the run ({why}): run again")


@task(name="report", task_run_name="report", cache_policy=NO_CACHE)
def write_report(recipe: str, release: Release) -> None:
    """Write the report page, and leave scores and links in the Prefect UI."""
    tags = lineage.tags(Path.cwd(), recipe, str(runtime.flow_run.id))
    tags |= {"version": str(release.version.number)}
    if release.aliases:
        tags["alias"] = release.aliases[0]
    write_atomically(REPORT, report.render(Path.cwd(), tags))
    artifacts.show_scores(recipe)
    artifacts.show_links(REPORT, tags["stage_key"])


def _aliases(version: Version) -> tuple[str, ...]:
    return tuple(alias for alias, number in sorted(store.aliases(version.name).items()) if number == version.number)
