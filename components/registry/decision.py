"""The gate's decision and all its evidence: a record for people, programs and the ledger."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, get_args

from pydantic import TypeAdapter

from components.evaluation.statistics import Interval

Group = Literal["gain", "floors", "losses", "safety", "cost", "lineage"]
Verdict = Literal["holds", "fails", "not judged"]

GROUPS: tuple[Group, ...] = get_args(Group)
"""In the order in which they are shown."""

NAMED = 3  # of the rules that fail, in the summary


@dataclass(frozen=True)
class Rule:
    """One condition: the value, its interval, the condition in words, and whether it is met.

    `needs` is the reason, where a rule is not judged. A rule about files has no value.
    """

    group: Group
    name: str
    figure: Interval | None
    limit: float | None
    needs: str
    verdict: Verdict

    def __str__(self) -> str:
        mark = {"holds": "holds", "fails": "FAILS", "not judged": "not judged"}[self.verdict]
        value = f" {self.value} [{self.interval}]," if self.figure else ""
        return f"{self.name}:{value} {self.needs}: {mark}"

    @property
    def holds(self) -> bool:
        """Whether the rule lets the model pass; one that is not judged does too."""
        return self.verdict != "fails"

    @property
    def value(self) -> str:
        """The value, formatted for people."""
        return f"{self.figure.value:.4f}" if self.figure else ""

    @property
    def interval(self) -> str:
        """Its interval, formatted for people."""
        return f"{self.figure.low:.4f}, {self.figure.high:.4f}" if self.figure else ""


@dataclass(frozen=True)
class Contender:
    """A model that the gate compares: its name for people, and the digest of its weights, sizes and tokenizer."""

    name: str
    digest: str


@dataclass(frozen=True)
class Evidence:
    """What a decision depends on, apart from the code."""

    challenger: Contender
    champion: Contender | None
    data: Mapping[str, str]  # sha256 of what was compared, by its name
    gate: Mapping[str, Any]  # the settings
    evaluation: Mapping[str, Any]
    seeds: Mapping[str, Any] = field(default_factory=dict)  # what was known of their spread; empty in older decisions


@dataclass(frozen=True)
class Decision:
    """Whether to promote, every rule that was applied, and the evidence."""

    promote: bool
    against: Literal["floors", "champion", "itself"]
    rules: tuple[Rule, ...]
    evidence: Evidence | None = field(default=None)  # None: there was nothing to decide

    def __str__(self) -> str:
        if self.against == "itself":
            return "it is the champion already: nothing to decide"
        judged = [rule for rule in self.rules if rule.verdict != "not judged"]
        failed = [rule.name for rule in judged if not rule.holds]
        left = f"; {len(self.rules) - len(judged)} not judged" if len(judged) < len(self.rules) else ""
        if not failed:
            return f"promote: all {len(judged)} rules against the {self.against} hold{left}"
        more = f" and {len(failed) - NAMED} more" if len(failed) > NAMED else ""
        names = ", ".join(failed[:NAMED])
        return f"keep: {len(failed)} of {len(judged)} rules against the {self.against} fail ({names}{more}){left}"

    def to_json(self) -> str:
        """The decision as JSON, the same bytes for the same decision."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse what `to_json` wrote."""
        return TypeAdapter(cls).validate_json(text)

    def to_markdown(self) -> str:
        """The verdict, and a row for each rule."""
        rows = [
            f"| {rule.name} | {rule.value} | {rule.interval} | {rule.needs} "
            f"| {rule.verdict if rule.holds else f'**{rule.verdict}**'} |"
            for rule in self.rules
        ]
        head = ["", "| rule | figure | interval | needs | |", "| --- | ---: | --- | --- | --- |"]
        return "\n".join([str(self), *(head if rows else []), *rows])
