"""The release of a recipe's model: registered, judged, promoted if it is better, and reported."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from prefect import runtime, task
from prefect.cache_policies import NO_CACHE

from components.core.errors import StageError
from components.core.files import write_atomically
from components.lineage import chain
from components.lineage.tags import tags_of
from components.registry import champion, store
from components.registry.decision import Decision, Rule
from components.registry.store import Version
from components.reports import data_page, report
from flows.pipeline import artifacts
from flows.promotion.flows import gate_model, promote_model, register_model
from flows.retraining import new_data, notifications, source_rules
from flows.services import pages


@dataclass(frozen=True)
class Release:
    """What became of a recipe's model: version, decision of the gate, aliases now, and the outcome in words."""

    version: Version
    decision: Decision
    aliases: tuple[str, ...]
    outcome: str
    refused: bool  # by a user, in an earlier run

    @property
    def recipe(self) -> str:
        """The recipe that made the version."""
        return self.version.recipe

    @property
    def event(self) -> notifications.Event | None:
        """The event to send notifications of, if any: the version was promoted, or it waits for a user."""
        if not self.decision.promote or self.refused:
            return None
        return "promoted" if store.CHAMPION in self.aliases else "waits"

    def __str__(self) -> str:
        number, rules = self.version.number, self.decision.rules
        if self.refused or self.event == "waits":
            return self.outcome
        if self.event is None:
            failed = [_plain(rule) for rule in rules if not rule.holds]
            more = f" and {len(failed) - 2} more" if len(failed) > 2 else ""
            kept = f"version {number} kept back by {', '.join(failed[:2])}{more}"
            return kept if failed else f"version {number}: {self.decision}"
        gains = (f"{rule.figure.value:+.3f} {_plain(rule)}" for rule in rules if rule.group == "gain" and rule.figure)
        return f"version {number} promoted: {next(gains, self.decision)}"


class Unfinished(StageError):
    """Some of the recipes failed; `releases` are those of the others."""

    def __init__(self, line: str, code: int = StageError.code, releases: Sequence[Release] = ()) -> None:
        super().__init__(line)  # Prefect makes it anew of the line alone where it reads a state
        self.code = code
        self.releases = releases

    @classmethod
    def of(cls, failures: Sequence[Exception], releases: Sequence[Release] = ()) -> Self:
        """All failures in a line, with the exit code of the first."""
        return cls("; ".join(map(_line, failures)), getattr(failures[0], "code", StageError.code), releases)


def _line(error: Exception) -> str:
    return str(error) if isinstance(error, StageError) else f"{type(error).__name__}: {error}"


def _plain(rule: Rule) -> str:
    return rule.name.removeprefix("change in ")


def outcomes(releases: Sequence[Release]) -> str:
    """What became of each model, in a line."""
    return "; ".join(f"{release.recipe}: {release}" for release in releases)


def release_model(recipe: str) -> Release:
    """Register and judge the model of a recipe and, if it is better, promote it."""
    version = register_model(recipe)
    decision = gate_model(version)
    outcome = promote_model(version, decision)
    refused = decision.promote and champion.refusal(version.name, version.number) is not None
    made = Release(version, decision, _aliases(version), outcome, refused)
    write_report(made)
    new_data.note_trained(version)
    return made


@task(name="report", task_run_name="report {release.recipe}", cache_policy=NO_CACHE)
def write_report(release: Release) -> None:
    """Write the report page of a recipe, and show scores and links in the Prefect UI."""
    recipe, page = release.recipe, pages.report(release.recipe)
    tags = tags_of(Path.cwd(), recipe, str(runtime.flow_run.id))
    tags |= {"version": str(release.version.number)}
    if release.aliases:
        tags["alias"] = release.aliases[0]
    links = chain.links(chain.read(Path.cwd(), release.version))
    write_atomically(page, report.render(Path.cwd(), tags, links, recipe))
    write_atomically(pages.DATA, data_page.render(Path.cwd(), source_rules.known()))
    write_atomically(page.with_name(f"decision-{recipe}.json"), release.decision.to_json())
    artifacts.show_scores(recipe)
    artifacts.show_links(recipe, tags["stage_key"])


def _aliases(version: Version) -> tuple[str, ...]:
    return tuple(alias for alias, number in sorted(store.aliases(version.name).items()) if number == version.number)
