"""From a package to the champion: register, judge, promote; and by hand, promote any version or go back.

Which model is live is written in one place, the aliases of the registry.
"""

from pathlib import Path

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from components import params
from components.evaluation.settings import Evaluate
from components.registry import gate, lineage, store
from components.registry.gate import Decision
from components.registry.settings import Gate
from components.registry.store import Version
from components.stage import BadData
from flows import console

RECIPE = "assistant"


def model_name(recipe: str) -> str:
    """The name under which the registry keeps the models of a recipe."""
    return f"lmforge-{recipe}"


def register(recipe: str, flow_run: str = "by hand") -> Version:
    """Register the package of a recipe with its lineage; the same weights are registered once."""
    package = Path("models/package") / recipe
    if not package.exists():
        raise BadData(f"{package} is not there: run the pipeline first (`lmforge run` or `dvc repro`)")
    return store.register(package, model_name(recipe), lineage.tags(Path.cwd(), recipe, flow_run))


@task(name="register", task_run_name="register", cache_policy=NO_CACHE)
def register_model(recipe: str) -> Version:
    """Register the package of a recipe, tagged with this flow run."""
    version = register(recipe, str(runtime.flow_run.id))
    _say("register", f"{version.name} version {version.number} ({version.digest[:12]})")
    return version


@task(name="gate", task_run_name="gate", cache_policy=NO_CACHE)
def gate_model(version: Version) -> Decision:
    """Judge a version against the champion. Its reports have to be the present ones in reports/evaluation."""
    number = store.aliases(version.name).get(store.CHAMPION)
    if number == version.number:
        decision = Decision(promote=False, against="itself", rules=())
    else:
        store.challenge(version.name, version.number)
        decision = _judge(version, store.find(version.name, store.CHAMPION) if number else None)
    for rule in decision.rules:
        get_run_logger().info(str(rule))
    _say("gate", str(decision))
    create_markdown_artifact(
        report(version, decision), key="gate", description="Whether the model is promoted, and why"
    )
    return decision


@task(name="promote", task_run_name="promote", cache_policy=NO_CACHE)
def promote_model(version: Version, decision: Decision) -> None:
    """Make a version champion when the gate said so; that it did not is a normal end."""
    if decision.promote:
        _promote(version.name, version.number)
    else:
        present = store.aliases(version.name).get(store.CHAMPION)
        _say("promote", f"@champion stays version {present}" if present else "there is still no @champion")


@flow(name="promote", flow_run_name="promote {recipe} version {version}")
def promote(version: int, recipe: str = RECIPE) -> None:
    """Make a version champion, whatever the gate said of it: starting this flow is the approval."""
    _promote(model_name(recipe), version)


@flow(name="rollback", flow_run_name="roll {recipe} back")
def rollback(recipe: str = RECIPE) -> None:
    """Let `@champion` and `@previous` change places."""
    number = store.rollback(model_name(recipe))
    _say("rollback", f"{model_name(recipe)} version {number} is @champion again")


def report(version: Version, decision: Decision) -> str:
    """The decision as Markdown: the verdict, and a row for each rule."""
    rows = [
        f"| {rule.name} | {rule.figure.value:.4f} | {rule.figure.low:.4f} to {rule.figure.high:.4f} "
        f"| {rule.needs} | {'yes' if rule.holds else '**no**'} |"
        for rule in decision.rules
    ]
    table = ["", "| rule | figure | interval | needs | holds |", "| --- | ---: | --- | --- | --- |", *rows]
    return "\n".join([f"## {version.name} version {version.number}", "", str(decision), *(table if rows else [])])


def _judge(version: Version, champion: Version | None) -> Decision:
    """The gate's decision, from the version's tags when it was made for the same inputs before."""
    settings, evaluation = params.read("gate", Gate), params.read("evaluate", Evaluate)
    reports = Path("reports/evaluation") / version.name.removeprefix(model_name(""))
    key = gate.key(reports, champion.digest if champion else None, settings, evaluation)
    tags = store.notes(version)
    if tags.get("gate_key") == key:
        return Decision.from_json(tags["gate"])
    package = store.fetch(version.name, store.CHAMPION) if champion else None
    decision = gate.judge(reports, package, settings, evaluation)
    store.note(version, {"gate": decision.to_json(), "gate_key": key})
    return decision


def _promote(name: str, number: int) -> None:
    present = store.aliases(name).get(store.CHAMPION)
    if present == number:
        _say("promote", f"{name} version {number} is @champion already: nothing to do")
        return
    store.promote(name, number)
    _say("promote", f"{name} version {number} is @champion" + (f", version {present} is @previous" if present else ""))


def _say(name: str, line: str) -> None:
    """To the terminal, and to the log that Prefect keeps."""
    console.say(name, line)
    get_run_logger().info(line)
