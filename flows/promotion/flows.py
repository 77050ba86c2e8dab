"""From a package to the champion: register, judge, promote; and by hand, promote any version or roll back.

Which model is live is stored in one place, the aliases of the registry; why, in the ledger. No process waits for a
user: a version that needs approval is left pending, and a user approves or rejects it by the flow `promote`.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, cast

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.states import Completed
from pydantic import Field

from components.core import params
from components.core.errors import BadData
from components.core.recipe import evaluation, model_name, stage
from components.core.recipe import package as package_of
from components.evaluation.settings import Evaluate
from components.lineage import snapshot, tags
from components.registry import champion, gate, spread, store
from components.registry.gate import Candidate, Decision
from components.registry.settings import gate_of
from components.registry.store import Version
from components.reports import decision_page
from flows import console, recipes
from flows.dvc import graph
from flows.retraining import notifications
from flows.retraining.settings import Retraining

DEPLOYMENT = "promote/promote"

# The docstrings describe them, since the forms of Prefect's pages read the descriptions only there.
# docs/decisions.md, "Parameters are described in docstrings"
Number = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]


def register(recipe: str, flow_run: str = "by hand") -> Version:
    """Register the package of a recipe with its lineage; the same weights are registered once.

    docs/decisions.md, "Registering is not a stage"
    """
    root, package = Path.cwd(), package_of(recipe)
    if not package.exists():
        by_hand = f"dvc repro {stage('package', recipe)}"
        raise BadData(f"{package} is not there: run the pipeline first (`lmforge run` or `{by_hand}`)")
    return store.register(
        package, model_name(recipe), tags.tags_of(root, recipe, flow_run), snapshot.collect(root, recipe)
    )


@task(name="register", task_run_name="register {recipe}", cache_policy=NO_CACHE)
def register_model(recipe: str) -> Version:
    """Register the package of a recipe, tagged with this flow run."""
    version = register(recipe, str(runtime.flow_run.id))
    _say("register", f"{version.name} version {version.number} ({version.digest[:12]})")
    return version


@task(name="gate", task_run_name="gate {version.recipe}", cache_policy=NO_CACHE)
def gate_model(version: Version) -> Decision:
    """Judge a version against the champion. Its reports must be the current ones in reports/evaluation."""
    number, gone = champion.standing(version.name, version.number), champion.gone(version.name)
    if gone is not None:
        instead = f"@previous, version {number}, stands in for it" if number else "the floors alone decide"
        _say("gate", f"version {gone} was @champion, and the registry has it no more: {instead}")
    if number == version.number:
        decision = Decision(promote=False, against="itself", rules=())
    else:
        decision = _judge(version, store.find(version.name, str(number)) if number else None)
    for rule in decision.rules:
        get_run_logger().info(str(rule))
    _say("gate", str(decision))
    create_markdown_artifact(
        f"## {version.name} version {version.number}\n\n{decision.to_markdown()}",
        key=f"gate-{version.recipe}",
        description="Whether the model is promoted, and why",
    )
    return decision


@task(name="promote", task_run_name="promote {version.recipe}", cache_policy=NO_CACHE)
def promote_model(version: Version, decision: Decision) -> str:
    """Make a version champion if the gate passed it and no approval is needed; returns the outcome in words.

    A version that the gate keeps back, or that waits for a user, is a normal outcome.
    """
    line = _follow(version, decision)
    _say("promote", line)
    return line


def _name_verdict() -> str:
    given = runtime.flow_run.parameters
    done = {"approve": "approved", "reject": "rejected"}[given["verdict"]]
    return f"promote {recipes.one(given['recipe'])} version {given['version']}: {done} by {given['by']}"


@flow(name="promote", flow_run_name=_name_verdict, on_completion=[notifications.promoted])
def promote(
    version: Number,
    by: Text,
    reason: Text,
    verdict: Literal["approve", "reject"] = "approve",
    anyway: bool = False,
    recipe: str | None = None,
) -> State[str]:
    """Approve or reject a version; one that a user rejected before is not promoted unless `anyway`.

    Args:
        version: Number of the version.
        by: Who decides; it stands in the ledger.
        reason: Why; it stands in the ledger.
        verdict: Approve makes it @champion; reject keeps it out.
        anyway: Also when the gate said no, another champion was compared with, or somebody rejected it.
        recipe: Of the model, whose name is lmforge and the recipe; empty where params.yaml has only one.
    """
    name = model_name(recipes.one(recipe or None))
    refusal = None if anyway else champion.refusal(name, version)
    if verdict == "reject":
        return _end(champion.reject(name, version, by, reason), "Rejected")
    if refusal:
        return _end(f"{refusal}: nothing is promoted", "Rejected")
    return _end(champion.approve(name, version, by, reason, anyway), "Promoted")


def _name_rollback() -> str:
    given = runtime.flow_run.parameters
    return f"roll {recipes.one(given['recipe'])} back: {given['by']}"


@flow(name="rollback", flow_run_name=_name_rollback)
def rollback(by: Text, reason: Text, recipe: str | None = None) -> State[str]:
    """Let `@champion` and `@previous` change places.

    Args:
        by: Who decides; it stands in the ledger.
        reason: Why; it stands in the ledger.
        recipe: Of the model, whose name is lmforge and the recipe; empty where params.yaml has only one.
    """
    return _end(champion.rollback(model_name(recipes.one(recipe or None)), by, reason), "RolledBack")


def _judge(version: Version, present: Version | None) -> Decision:
    """The gate's decision, taken from the ledger if it was made for the same inputs before."""
    recipe = version.recipe
    settings, scoring = gate_of(recipe), params.read("evaluate", Evaluate)
    reports, gaps = evaluation(recipe), tags.missing(Path.cwd(), recipe, graph.in_remote)
    found = spread.find(recipe)
    key = gate.key(version.digest, present.digest if present else None, reports, gaps, found, settings, scoring)
    known = champion.decided(version, key)
    if known:
        decision = Decision.from_json(known)
    else:
        challenger = _candidate(version, package_of(recipe))
        standing = _candidate(present, store.fetch(present.name, str(present.number))) if present else None
        decision = gate.judge(challenger, standing, reports, gaps, found, settings, scoring)
    page = decision_page.render(decision)
    champion.decide(version, decision, page, present.number if present else None, key)
    return decision


def _candidate(version: Version, package: Path) -> Candidate:
    return Candidate(f"{version.name} version {version.number}", version.digest, package)


def _follow(version: Version, decision: Decision) -> str:
    """Act on a decision of the gate, and return the outcome in words."""
    name, number, option = version.name, version.number, recipes.option(version.recipe)
    if not decision.promote:
        present = store.aliases(name).get(store.CHAMPION)
        return f"@champion stays version {present}" if present else "there is still no @champion"
    refusal = champion.refusal(name, number)
    if refusal:
        anyway = f"lmforge promote {number}{option} --anyway --reason ..."
        return f"{refusal}: nothing is promoted; `{anyway}` does it all the same"
    if gate_of(version.recipe).approval == "required":
        champion.wait(version)
        ways = f"`lmforge promote {number}{option} --reason ...`, or a run of the deployment {DEPLOYMENT}"
        return f"version {number} waits for approval: {ways}"
    minutes = params.read("retraining", Retraining).veto_minutes if runtime.deployment.id else 0
    if minutes:
        return _promote_later(version, minutes)
    return champion.promote(name, number, str(decision))


def _promote_later(version: Version, minutes: float) -> str:
    """Schedule the deployment to promote the version at the end of the veto window, once for each decision."""
    decision = champion.last_decision(version)
    due = datetime.now(UTC) + timedelta(minutes=minutes)
    recipe = version.recipe
    said = {"by": champion.GATE, "reason": f"nobody objected within {minutes:g} minutes; {decision.details['reason']}"}
    run = cast(
        FlowRun,
        run_deployment(
            DEPLOYMENT,
            parameters={"version": version.number, "recipe": recipe, **said},
            flow_run_name=f"promote {recipe} version {version.number} unless rejected",
            scheduled_time=due,
            idempotency_key=decision.hash,
            timeout=0,
            as_subflow=False,
        ),
    )
    at = f"{(run.expected_start_time or due).astimezone():%Y-%m-%d %H:%M}"
    champion.wait(version, f"promoted at {at} unless rejected")
    command = f"lmforge reject {version.number}{recipes.option(recipe)} --reason ..."
    return f"version {version.number} is promoted at {at} unless rejected: `{command}`"


def _end(line: str, state: str) -> State[str]:
    _say(runtime.flow_run.flow_name, line)
    return Completed(name=state, message=line, data=line)


def _say(name: str, line: str) -> None:
    """Print a line to the terminal, and to Prefect's log."""
    console.say(name, line)
    get_run_logger().info(line)
