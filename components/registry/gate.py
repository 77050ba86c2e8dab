"""The gate: whether a model should become champion.

Without a champion, floors decide. With one, both models are scored on the same documents and examples of the current
test split, and the new one has to be better beyond noise: a tie keeps the champion. Better means fewer bits per byte;
between models whose bits are not comparable, or that have none, more right answers. This module chooses the rules,
`rules` defines each of them, `decision` holds the result.
docs/decisions.md, "The gate asks for better beyond noise"
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import BadData
from components.evaluation.settings import Evaluate
from components.registry import latency, rules
from components.registry.decision import GROUPS, Contender, Decision, Evidence, Rule
from components.registry.settings import Gate
from components.registry.spread import Spread

__all__ = ["Candidate", "Decision", "judge", "key"]

OLD = (BadData, FileNotFoundError, KeyError, TypeError, ValueError)  # errors from a package of another format
REPORTS = ("scores.json", "losses.parquet", "predictions.parquet")


@dataclass(frozen=True)
class Candidate(Contender):
    """A model with its package."""

    package: Path


@dataclass(frozen=True)
class Scored:
    """The results of an evaluation."""

    scores: dict[str, Any]
    losses: pa.Table
    predictions: pa.Table

    @classmethod
    def read(cls, reports: Path) -> Self:
        """Read the folder that the stage `evaluate` wrote."""
        tables = (pq.read_table(reports / f"{name}.parquet") for name in ("losses", "predictions"))
        return cls(json.loads((reports / "scores.json").read_text(encoding="utf-8")), *tables)


def key(
    challenger: str,
    champion: str | None,
    reports: Path,
    missing: Sequence[str],
    spread: Spread,
    settings: Gate,
    evaluation: Evaluate,
) -> str:
    """sha256 of everything that a decision depends on, except the speed of the machine, so that it is made once.

    `challenger` and `champion` are the digests of the models; for the rest see `judge`.
    """
    content = [challenger, champion, list(missing), asdict(spread), asdict(settings), asdict(evaluation)]
    total = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in REPORTS:
        total.update((reports / name).read_bytes())
    return total.hexdigest()


def judge(
    challenger: Candidate,
    champion: Candidate | None,
    reports: Path,
    missing: Sequence[str],
    spread: Spread,
    settings: Gate,
    evaluation: Evaluate,
) -> Decision:
    """Decide on the challenger, whose evaluation is in the folder `reports`.

    The champion is scored again, as the test split may have changed since; the challenger's reports must come from the
    current data and the settings `evaluation`. `missing` lists the gaps in the challenger's lineage, `spread` is how
    much the seed alone changes the result of a training run.
    """
    scored = Scored.read(reports)
    found = [
        *rules.floors(scored.scores, scored.losses, settings),
        *rules.safe(scored.scores, settings),
        rules.traceable(missing, settings),
        *(_compared(scored, challenger, champion, spread, settings, evaluation) if champion else ()),
    ]
    evidence = Evidence(
        challenger=_named(challenger),
        champion=_named(champion) if champion else None,
        data=_digests(scored, reports),
        gate=asdict(settings),
        evaluation=asdict(evaluation),
        seeds={"spread": spread.note, "bits_per_byte": list(spread.bits_per_byte)},
    )
    return Decision(
        promote=all(rule.holds for rule in found),
        against="champion" if champion else "floors",
        rules=tuple(sorted(found, key=lambda rule: GROUPS.index(rule.group))),
        evidence=evidence,
    )


def _compared(
    scored: Scored, challenger: Candidate, champion: Candidate, spread: Spread, settings: Gate, evaluation: Evaluate
) -> Iterator[Rule]:
    """The rules about gains, losses and cost."""
    from components.evaluation.evaluation import NothingToScore, evaluate

    try:
        _load(champion.package)
    except OLD as error:
        why = f"{type(error).__name__}, {error}"
        yield rules.not_scored(f"its package cannot be read by this version of the code ({why})")
        return
    try:
        of_champion = evaluate(champion.package, evaluation, "champion")
    except NothingToScore:  # docs/decisions.md, "A champion of other tasks stays until a person decides"
        yield rules.not_scored(
            "nothing that it was taught is in the test split: promote by hand, or give the tasks a recipe of their own"
        )
        return
    losses, predictions = (scored.losses, of_champion.losses), (scored.predictions, of_champion.predictions)
    if scored.scores["architecture"] == of_champion.scores["architecture"] and all(map(len, losses)):
        yield from rules.fewer_bits(*losses, spread, settings)
        yield from rules.no_loss(losses, predictions, settings)
    else:
        yield from rules.better_answers(*predictions, settings)
        yield from rules.no_loss(None, predictions, settings)
    yield from rules.comparable(champion.package)
    yield from rules.affordable(latency.measure(challenger.package, champion.package, settings.confidence), settings)


def _load(package: Path) -> None:
    """Check whether this version of the code can read a package, which may be old."""
    from components.model import hf
    from components.tasks.task import trained_tasks
    from components.tokenizer.tokenizer import Tokenizer

    hf.load(package)
    Tokenizer.load(package)
    trained_tasks(package)


def _named(model: Contender) -> Contender:
    return Contender(model.name, model.digest)


def _digests(scored: Scored, reports: Path) -> dict[str, str]:
    """Digests of what was compared: the rows of the test split that counted, and the challenger's evaluation files."""
    rows = {
        "test documents": scored.losses.select(["document", "bytes"]).sort_by("document"),
        "test examples": scored.predictions.select(["task", "example", "target"]).sort_by(
            [("task", "ascending"), ("example", "ascending")]
        ),
    }
    tables = {name: hashlib.sha256(json.dumps(table.to_pylist()).encode()) for name, table in rows.items()}
    files = {name: hashlib.sha256((reports / name).read_bytes()) for name in REPORTS}
    return {name: total.hexdigest() for name, total in {**tables, **files}.items()}
