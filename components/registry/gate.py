"""The gate: does a model deserve to be champion?

With no champion yet, floors decide. With one, both models answer for the same documents and examples, and
the new one has to be better beyond noise: a tie keeps the champion. Better is what needs fewer bits per byte;
between models whose bits do not compare, or that have none, what answers more examples right.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter

from components.evaluation.settings import Evaluate
from components.evaluation.statistics import Interval, paired_bootstrap
from components.registry.settings import Gate
from components.stage import BadData

TRIVIAL = "majority"  # the baseline that every task has
REPORTS = ("scores.json", "losses.parquet", "predictions.parquet")


@dataclass(frozen=True)
class Rule:
    """One condition: the figure, its interval, the condition in words, and whether it holds."""

    name: str
    figure: Interval
    needs: str
    holds: bool

    def __str__(self) -> str:
        value, low, high = self.figure.value, self.figure.low, self.figure.high
        mark = "holds" if self.holds else "FAILS"
        return f"{self.name}: {value:.4f} [{low:.4f}, {high:.4f}], needs {self.needs}: {mark}"


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and every rule that was asked."""

    promote: bool
    against: Literal["floors", "champion", "itself"]
    rules: tuple[Rule, ...]

    def __str__(self) -> str:
        if self.against == "itself":
            return "it is the champion already: nothing to decide"
        failed = [rule.name for rule in self.rules if not rule.holds]
        if not failed:
            return f"promote: all {len(self.rules)} rules against the {self.against} hold"
        return f"keep: {len(failed)} of {len(self.rules)} rules against the {self.against} fail ({', '.join(failed)})"

    def to_json(self) -> str:
        """For people and programs, the same bytes for the same decision."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        return TypeAdapter(cls).validate_json(text)


def key(challenger: Path, champion: str | None, settings: Gate, evaluation: Evaluate) -> str:
    """sha256 of all that a decision follows from; `champion` is the digest of the champion's package."""
    content = [champion, asdict(settings), asdict(evaluation)]
    total = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in REPORTS:
        total.update((challenger / name).read_bytes())
    return total.hexdigest()


def judge(challenger: Path, champion: Path | None, settings: Gate, evaluation: Evaluate) -> Decision:
    """Decide on the model whose evaluation reports are in the folder `challenger`.

    `champion` is the present champion's package, or None. It is scored afresh, as the test split may have
    changed since; the challenger's reports must come from today's data and the settings `evaluation`.
    """
    if champion is None:
        return _decision("floors", floors(json.loads((challenger / "scores.json").read_text()), settings))
    from components.evaluation.evaluate import evaluate

    scored = evaluate(champion, evaluation, "champion")
    ours = json.loads((challenger / "scores.json").read_text())
    losses, predictions = (pq.read_table(challenger / f"{name}.parquet") for name in ("losses", "predictions"))
    if ours["architecture"] == scored.scores["architecture"] and len(losses) and len(scored.losses):
        better = fewer_bits(losses, scored.losses, settings)
    else:
        better = better_answers(predictions, scored.predictions, settings)
    return _decision("champion", [better, *no_loss(predictions, scored.predictions, settings)])


def floors(scores: Mapping[str, Any], settings: Gate) -> list[Rule]:
    """The rules for a first champion, from a `scores.json`: the unlucky end of each interval has to pass."""
    rules = []
    if "bits_per_byte" in scores:
        bits, limit = scores["bits_per_byte"]["all"], settings.max_bits_per_byte
        rules.append(_below("bits per byte", Interval(bits["value"], bits["low"], bits["high"]), limit))
    for task, score in sorted(scores["tasks"].items()):
        least = score["baselines"][TRIVIAL]["value"] + settings.min_margin
        rules.append(_above(task, Interval(score["value"], score["low"], score["high"]), least))
    return rules


def fewer_bits(challenger: pa.Table, champion: pa.Table, settings: Gate) -> Rule:
    """Fewer bits per byte on the same documents (columns document, bytes, nats).

    Bits of all documents over bytes of all, and documents drawn with replacement, both models' together.
    When the models are equal this rule still holds in (1 - confidence) / 2 of all cases.
    """
    ours, theirs = _paired(challenger, champion, "document")
    if not ours["bytes"].equals(theirs["bytes"]):
        raise BadData("the two models read documents of different lengths: evaluate again (`dvc repro`)")
    difference = paired_bootstrap(
        _numbers(ours, "nats") / math.log(2),
        _numbers(theirs, "nats") / math.log(2),
        _numbers(ours, "bytes"),
        resamples=settings.resamples,
        seed=settings.seed,
        confidence=settings.confidence,
    )
    return _below("bits per byte, change", difference, 0 - settings.min_gain)


def better_answers(challenger: pa.Table, champion: pa.Table, settings: Gate) -> Rule:
    """A higher score on the same examples of all tasks together (columns example, task, score)."""
    tasks = _tasks(challenger, champion)
    pairs = [_scores(challenger, champion, task) for task in tasks]
    ours, theirs = (np.concatenate(side) for side in zip(*pairs, strict=True))
    difference = paired_bootstrap(
        ours, theirs, resamples=settings.resamples, seed=settings.seed, confidence=settings.confidence
    )
    return _above("score over all tasks, change", difference, 0.0)


def no_loss(challenger: pa.Table, champion: pa.Table, settings: Gate) -> Iterator[Rule]:
    """No task lost beyond noise on the same examples (columns example, task, score): one rule a task.

    A task that a model was not taught counts as answered wrong throughout.
    Each of n tasks is asked with confidence 1 - (1 - confidence) / n, so that a model that is equal in all
    of them fails no more often than one that is equal in a single one (Bonferroni).
    """
    tasks = _tasks(challenger, champion)
    for task in tasks:
        ours, theirs = _scores(challenger, champion, task)
        difference = paired_bootstrap(
            ours,
            theirs,
            resamples=settings.resamples,
            seed=settings.seed,
            confidence=1 - (1 - settings.confidence) / len(tasks),
        )
        yield _not_lost(f"{task}, change", difference)


def _decision(against: Literal["floors", "champion"], rules: list[Rule]) -> Decision:
    return Decision(all(rule.holds for rule in rules), against, tuple(rules))


def _below(name: str, figure: Interval, limit: float) -> Rule:
    return Rule(name, figure, f"upper end below {limit:.4g}", figure.high < limit)


def _above(name: str, figure: Interval, limit: float) -> Rule:
    return Rule(name, figure, f"lower end above {limit:.4g}", figure.low > limit)


def _not_lost(name: str, figure: Interval) -> Rule:
    return Rule(name, figure, "upper end not below 0", figure.high >= 0)


def _paired(ours: pa.Table, theirs: pa.Table, key: str) -> tuple[pa.Table, pa.Table]:
    """Both tables in the order of the key."""
    ours, theirs = ours.sort_by(key), theirs.sort_by(key)
    if not ours[key].equals(theirs[key]):
        raise BadData(f"the two models were not scored on the same {key}s: bring the reports up to date (`dvc repro`)")
    return ours, theirs


def _tasks(challenger: pa.Table, champion: pa.Table) -> list[str]:
    """Those that one of them was taught."""
    return sorted({*challenger["task"].to_pylist(), *champion["task"].to_pylist()})


def _scores(challenger: pa.Table, champion: pa.Table, task: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both models' scores on the examples of a task, in one order."""
    ours, theirs = _of(challenger, task), _of(champion, task)
    if not len(ours) or not len(theirs):
        nothing = np.zeros(len(ours) + len(theirs))
        return (_numbers(ours, "score"), nothing) if len(ours) else (nothing, _numbers(theirs, "score"))
    ours, theirs = _paired(ours, theirs, "example")
    return _numbers(ours, "score"), _numbers(theirs, "score")


def _of(predictions: pa.Table, task: str) -> pa.Table:
    return predictions.filter(pc.equal(predictions["task"], task))


def _numbers(table: pa.Table, column: str) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = table[column].to_numpy().astype(np.float64)
    return numbers
