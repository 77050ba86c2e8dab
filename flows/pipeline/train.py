"""The `train` flow: from the graph of stages to a registered and, if it is better, promoted model."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State
from prefect.flows import Flow
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Completed

from components.core import params, start
from components.core.errors import StageError, TryAgain
from components.core.recipe import model_name
from components.data import listing
from flows import console, recipes
from flows.dvc import graph
from flows.dvc.graph import Plan
from flows.pipeline import artifacts, begin, dvc_process, forecast, stage_task
from flows.pipeline.release import Release, Unfinished, outcomes, release_model
from flows.processes import locks, pruning, worktree
from flows.retraining import (
    decision_log,
    new_data,
    notifications,
    policy,
    requests_drift,
    source_rules,
    usage,
)
from flows.retraining.decision_log import LoggedDecision
from flows.retraining.policy import BY_HAND, CALENDAR, DRIFT, Request
from flows.retraining.settings import Retraining
from flows.services import recovery

REPORTS = Path("reports")


def _name() -> str:
    """The name of a run: its trigger and, if the calendar started it, the date."""
    trigger = str(runtime.flow_run.parameters["trigger"])
    return f"{trigger} {_today()}" if trigger == CALENDAR else trigger


def _today() -> date:
    """Today in this machine's time zone, which the schedules use too."""
    return datetime.now(UTC).astimezone().date()


def _tell(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001, what Prefect passes
    """Send a notification for each model that was promoted, or that waits for a user."""
    found = state.result(raise_on_failure=False)
    releases = found.releases if isinstance(found, Unfinished) else found
    for release in releases if isinstance(releases, Sequence) else ():
        if release.event:
            notifications.tell(release.event, f"{flow_run.name}: {release.recipe}: {release}", flow_run.id)


@flow(
    name="train",
    flow_run_name=_name,
    on_completion=[_tell],
    on_failure=[notifications.failed, _tell],
    on_crashed=[notifications.failed],
)
def train(trigger: str = BY_HAND, recipe: str | None = None) -> State[list[Release] | None]:
    """Bring the stages up to date, then register each recipe's package, judge it, and promote it if it is better.

    A trigger that begins with `calendar`, `data` or `drift` asks the policy first. In a worktree the result goes to a
    branch, and the worktree is removed. Raises `Unfinished` at the end when a recipe failed: the others are released.

    Args:
        trigger: Why it runs; the run is named after it. What a person writes here is never refused.
        recipe: What is trained: a recipe of the section `finetune` of params.yaml; all of them if this is empty.
    """
    if runtime.deployment.id is None:  # the worker tracks the others
        recovery.note_by_hand(str(runtime.flow_run.id))
    with (
        worktree.left_at_the_end(worktree.main_tree()),
        dvc_process.supervised(),
        locks.hold("run", "another run is at work in this folder: wait for it, or stop it"),
    ):
        decision = decide(trigger)
        if not decision.train:
            return Completed(name="Skipped", message=f"no: {decision.reason}")
        check_sources()
        releases, failures = make(recipes.chosen(recipe or None))
        said = outcomes(releases)
        if releases and worktree.main_tree():
            keep(said, trigger)
        if failures:
            raise Unfinished.of(failures, releases) from failures[0]
    return Completed(message=said, data=releases)


def train_by_hand(recipe: str | None) -> Sequence[Release]:
    """Run the flow in the current folder. The policy never refuses a user. Raises `Unfinished` when a recipe failed."""
    releases = train(trigger=BY_HAND, recipe=recipe)  # Prefect returns the data of the state
    assert isinstance(releases, list)
    return releases


def make(names: Sequence[str]) -> tuple[list[Release], list[StageError]]:
    """Run the graph, then release the model of each recipe whose stages are done; also returns what failed.

    docs/decisions.md, "The failure of a recipe is its own"
    """
    begin.pin_start(names)
    failures: list[StageError] = []
    try:
        bring_up_to_date(recipes.targets(names))
    except StageError as error:
        failures.append(error)
        names = [name for name in names if not graph.read_plan(recipes.targets([name])).stale]
    releases = []
    for name in names:
        try:
            releases.append(release_model(name))
        except StageError as error:  # raised at the end: the other recipes come first
            failures.append(error)
    return releases, failures


@task(name="decide", task_run_name="decide", cache_policy=NO_CACHE)
def decide(trigger: str) -> policy.TrainDecision:
    """List the data, and ask the policy whether to train on them.

    A restarted flow run keeps its earlier decision if the data are the same. Also removes what old runs left. In a
    worktree, first checks out what DVC's cache has.

    docs/decisions.md, "The run itself asks the policy"
    """
    flow_run, main = str(runtime.flow_run.id), worktree.main_tree()
    if main:
        _settle(main)
    pruning.prune(main or Path.cwd(), datetime.now(UTC).timestamp())
    earlier = decision_log.decision_of(flow_run)
    if earlier and earlier.listing == listing.digest(listing.read()):
        get_run_logger().info("decided before: %s", earlier.reason)
        return policy.TrainDecision(earlier.train, earlier.reason)
    found = listing.refresh()
    settings = params.read("retraining", Retraining)
    now = datetime.now(UTC)
    request = _request(trigger, found)
    decision = policy.decide(request, usage.history(), settings, now)
    digest = listing.digest(found)
    decision_log.note(LoggedDecision(now.isoformat(), str(request), decision.train, decision.reason, flow_run, digest))
    verdict = f"{'yes' if decision.train else 'no'}: {decision.reason}"
    get_run_logger().info(verdict)
    create_markdown_artifact(verdict, key="decision", description="Whether this run trains, and why")
    return decision


@task(name="check sources", task_run_name="check sources", cache_policy=NO_CACHE)
def check_sources() -> None:
    """Hold the files of the sources against the rules of the user. Raises `BadData` when one blocks the run."""
    for line in source_rules.check(listing.read()):
        console.say("sources", f"warning: {line}")
        get_run_logger().warning(line)


@task(name="keep", task_run_name="keep", cache_policy=NO_CACHE, retries=3, retry_delay_seconds=[10, 60, 300])
def keep(said: str, trigger: str) -> None:
    """Push the run's outs to the DVC remote, and commit `dvc.lock`, listing and reports to a branch of their own."""
    pushed = graph.push()
    record = Path(graph.RECORD)
    files = [record, listing.LISTING, start.PIN, *sorted(path for path in REPORTS.iterdir() if path.is_file())]
    branch = worktree.commit(files, worktree.short_digest(record), f"{trigger}: {said}", _today())
    get_run_logger().info("recorded on the branch %s%s", branch, ", the outs are pushed" if pushed else "")


def bring_up_to_date(targets: Sequence[str] = (graph.PIPELINE,)) -> None:
    """Run the stale stages that the targets need; raises `TryAgain` if the folder was edited meanwhile."""
    plan = graph.read_plan(targets)
    artifacts.show_plan(plan)
    for line in forecast.lines(plan):
        console.say("time", line)
        get_run_logger().info(line)
    run_graph(plan)
    check_nothing_changed(targets)


def run_graph(plan: Plan) -> None:
    """Run each stage as soon as its upstream stages are done; what needs a stage that failed is left out.

    Raises the failure at the end, or all of them in one `Unfinished`.
    """
    waiting = list(plan.stages)
    running: dict[PrefectFuture[State[None]], str] = {}
    done: dict[str, PrefectFuture[State[None]]] = {}
    failed: list[PrefectFuture[State[None]]] = []
    while True:
        ready = [stage for stage in waiting if all(name in done for name in stage.upstream)]
        for stage in ready:
            waiting.remove(stage)
            upstream = [done[name] for name in stage.upstream]
            future = stage_task.run_stage.submit(stage.name, stage.fresh, wait_for=upstream, return_state=False)
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
        graph.sort_record()
    _raise_failures(failed)


def _raise_failures(failed: Sequence[PrefectFuture[State[None]]]) -> None:
    if len(failed) == 1:
        failed[0].result()
    if failed:
        errors: list[Any] = [future.result(raise_on_failure=False) for future in failed]
        raise Unfinished.of(errors)


def check_nothing_changed(targets: Sequence[str]) -> None:
    """Raise `TryAgain` if the folder was edited during the run: what is registered must match its content.

    docs/decisions.md, "Two looks at what was edited"
    """
    stale = graph.read_plan(targets).stale
    if stale:
        why = "; ".join(f"{stage.name}: {', '.join(stage.reasons)}" for stage in stale)
        raise TryAgain(f"something changed during the run ({why}): run again")


def _request(trigger: str, found: listing.Listing) -> Request:
    request = Request(trigger, sum(new_data.new_tokens(found).values()), drift=0.0)
    if request.kind != DRIFT:
        return request
    moved, _ = new_data.moved(found)
    asked = requests_drift.noted_drift([*map(model_name, recipes.asked())])
    return Request(trigger, request.new_tokens, max(moved, asked))


def _settle(main: Path) -> None:
    """Prepare a worktree: link its data and share DVC's cache; and remove old worktrees of earlier runs."""
    patterns = [pattern for source in listing.sources() for pattern in source.local_patterns]
    worktree.link_data(main, Path.cwd(), patterns)
    graph.share_cache(str(main))
    worktree.prune(main, _unfinished(main), datetime.now(UTC).timestamp())


def _unfinished(main: Path) -> set[str]:
    """The ids of the flow runs that have a worktree and are not finished."""
    ids = [tree.name for tree in worktree.found(main)]
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate({"id": {"any_": ids}}))
    return {str(run.id) for run in runs if run.state is None or not run.state.is_final()}
