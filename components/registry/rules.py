"""The rules of the gate, each a function of metrics and settings.

Three kinds of rules, by what an error would cost:
- a *gain* has to be shown: the unfavourable end of its interval lies on the good side, so that a tie loses;
- a *floor* or a limit of safety has to be shown to be met: the unfavourable end lies within it;
- a *loss* has to be shown to keep a model out: even the favourable end lies on the bad side.
A model passes when no rule fails. So more rules never let an equal model pass more often, and only the losses
need a correction for their number: each of n is tested with confidence 1 - (1 - confidence) / n (Bonferroni). Holm's
steps would not change a verdict, as they begin with the same first one.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.core.errors import BadData
from components.evaluation.statistics import Interval, bootstrap_interval, paired_bootstrap, paired_ratios, widened
from components.registry.decision import Group, Rule
from components.registry.latency import Latency
from components.registry.settings import Gate
from components.registry.spread import Spread

TRIVIAL = "majority"  # the baseline that every task has

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def fewer_bits(challenger: pa.Table, champion: pa.Table, spread: Spread, settings: Gate) -> list[Rule]:
    """Fewer bits per byte on the same documents (columns document, bytes, nats), beyond noise and by `min_gain`.

    Bits of all documents over bytes of all. When neither model is favoured, the first rule holds in
    (1 - confidence) / 2 of all cases; stated is 1 - confidence, which leaves room for skewed differences.
    The noise is that of the documents, and that of the seeds where their spread is known.
    docs/decisions.md, "A least gain beside the interval, not inside it"
    """
    challenger, champion = paired(challenger, champion, "document")
    name = "change in bits per byte"
    if len(challenger) < settings.min_documents:
        return [_fails("gain", name, f"{_few(len(challenger), 'documents', settings)} to compare models by")]
    change = _bits_change(challenger, champion, settings, settings.confidence)
    needs, least = "upper end below 0", f"figure at most {0 - settings.min_gain:.4g}"
    if spread.known:
        change = widened(change, spread.half_width(settings.confidence))
        needs = f"{needs}, beyond the spread of seeds ({spread.note})"
    found = [
        _rule("gain", name, change, 0.0, needs, holds=change.high < 0),
        _rule("gain", "least gain", change, 0 - settings.min_gain, least, holds=change.value <= -settings.min_gain),
    ]
    return found if spread.known else [*found, _not_judged("gain", "spread of seeds", spread.note)]


def better_answers(challenger: pa.Table, champion: pa.Table, settings: Gate) -> list[Rule]:
    """A higher score on the same examples of all tasks (columns example, task, score, weight).

    It is the mean of the changes of the tasks by their examples: the share of right answers, where all count alike.
    """
    names = tasks(challenger, champion)
    pairs = [scores(challenger, champion, task) for task in names]
    sizes = [weights(challenger, champion, task) for task in names]
    groups = np.repeat(np.arange(len(names)), [len(challenger) for challenger, _ in pairs])
    change = _answers_change(_joined(pairs), _joined(sizes), settings, settings.confidence, groups)
    return [_rule("gain", "change in score over all tasks", change, 0.0, "lower end above 0", holds=change.low > 0)]


def floors(found: Mapping[str, Any], losses: pa.Table, settings: Gate) -> Iterator[Rule]:
    """The minimum for any champion, from a `scores.json` and the losses, at the unfavourable end of each interval."""
    if "bits_per_byte" in found:
        yield _below("floors", "bits per byte", _interval(found["bits_per_byte"]["all"]), settings.max_bits_per_byte)
    for name, part in slices(losses):
        if len(part) < settings.min_documents:
            yield _not_judged("floors", f"bits per byte of {name}", _few(len(part), "documents", settings))
        else:
            bits = _bits_per_byte(part, settings)
            yield _below("floors", f"bits per byte of {name}", bits, settings.max_slice_bits_per_byte)
    for task, score in sorted(found["tasks"].items()):
        if score["examples"] < settings.min_documents:
            yield _not_judged("floors", task, _few(score["examples"], "examples", settings))
        else:
            yield _above("floors", task, _interval(score), score["baselines"][TRIVIAL]["value"] + settings.min_margin)


def no_loss(
    losses: tuple[pa.Table, pa.Table] | None, predictions: tuple[pa.Table, pa.Table], settings: Gate
) -> Iterator[Rule]:
    """No slice of the documents and no task gets worse beyond noise: one rule each.

    Both are tables of the challenger and of the champion; `losses` is None where their bits are not comparable. A task
    that a model was not trained on counts as answered wrong throughout.
    """
    parts = _sliced(*losses) if losses else {}
    answers = {task: scores(*predictions, task) for task in tasks(*predictions)}
    sizes = [len(challenger) for challenger, _ in [*parts.values(), *answers.values()]]
    asked = sum(size >= settings.min_documents for size in sizes)
    confidence = 1 - (1 - settings.confidence) / max(1, asked)
    for name, (challenger, champion) in parts.items():
        if len(challenger) < settings.min_documents:
            yield _not_judged("losses", f"change in {name}", _few(len(challenger), "documents", settings))
        else:
            change = _bits_change(challenger, champion, settings, confidence)
            needs = "lower end not above 0"
            yield _rule("losses", f"change in {name}", change, 0.0, needs, holds=change.low <= 0)
    for task, (right, before) in answers.items():
        if len(right) < settings.min_documents:
            yield _not_judged("losses", f"change in {task}", _few(len(right), "examples", settings))
        else:
            change = _answers_change((right, before), weights(*predictions, task), settings, confidence)
            needs = "upper end not below 0"
            yield _rule("losses", f"change in {task}", change, 0.0, needs, holds=change.high >= 0)


def safe(found: Mapping[str, Any], settings: Gate) -> Iterator[Rule]:
    """Training text completed verbatim, and personal data generated, from a `scores.json`: each within its limit.

    Where none was found in so few texts that none could ever show the limit to be met, the rule is not judged, so that
    a small corpus can have a champion. A single case among as few fails.
    docs/decisions.md, "Too few texts to show that none is personal"
    """
    if found["architecture"] == "encoder":
        return
    measured = found.get("safety", {})
    for key, name, limit in (
        ("verbatim", "completed verbatim", settings.max_verbatim),
        ("personal_data", "personal data", settings.max_personal_data),
    ):
        if key not in measured:
            yield _not_judged("safety", name, "the evaluation found no text to look at")
            continue
        figure, texts = _interval(measured[key]), measured[key]["texts"]
        if figure.value == 0 and figure.high > limit:
            why = f"none in {texts} texts, too few to show at most {limit:.4g} (up to {figure.high:.4g})"
            yield _not_judged("safety", name, why)
        else:
            yield _rule("safety", name, figure, limit, f"upper end at most {limit:.4g}", holds=figure.high <= limit)


def affordable(cost: Latency, settings: Gate) -> Iterator[Rule]:
    """Time per token, beyond noise, and bytes of the weights, relative to the champion's: each within its limit."""
    limit, name = settings.max_slowdown, "ratio of time for a token"
    if cost.slowdown is None:
        yield _not_judged("cost", name, "a model that writes and one that labels do not compare")
    else:
        needs = f"lower end at most {limit:.4g} ({cost.challenger_ms:.2f} ms after {cost.champion_ms:.2f})"
        yield _rule("cost", name, cost.slowdown, limit, needs, holds=cost.slowdown.low <= limit)
    growth, limit = cost.challenger_bytes / cost.champion_bytes, settings.max_growth
    needs = f"figure at most {limit:.4g} ({cost.challenger_bytes / 1e6:.1f} MB after {cost.champion_bytes / 1e6:.1f})"
    figure = Interval(growth, growth, growth)
    yield _rule("cost", "ratio of bytes of the weights", figure, limit, needs, holds=growth <= limit)


def comparable(champion: Path) -> Iterator[Rule]:
    """The tasks of a champion that was packaged before `training.json` existed are unknown."""
    if not (champion / "training.json").exists():
        why = "its package holds no training.json: it was asked every task that it can answer"
        yield _not_judged("losses", "the champion's tasks", why)


def not_scored(why: str) -> Rule:
    """The champion cannot be scored, so no gain can be shown; a person may still decide."""
    return _fails("gain", "the champion's scores", why)


def traceable(missing: Sequence[str], settings: Gate) -> Rule:
    """Whether the model can be traced back to code and data; `missing` lists the gaps."""
    if not missing:
        return Rule("lineage", "lineage", None, None, "complete", "holds")
    gaps = f"missing: {', '.join(missing)}"
    if settings.lineage == "required":
        return _fails("lineage", "lineage", gaps)
    return _not_judged("lineage", "lineage", f"{gaps} (reported only)")


def slices(losses: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The documents by language, by source, and by length in thirds."""
    for column in ("language", "source"):
        for name in sorted(losses[column].unique().to_pylist()):
            yield f"{column} {name}", losses.filter(pc.field(column) == name)
    if len(losses):
        low, high = np.quantile(losses["bytes"].to_numpy(), [1 / 3, 2 / 3]).round().astype(int).tolist()
        size = pc.field("bytes")
        yield f"length below {low} bytes", losses.filter(size < low)
        yield f"length {low} to {high} bytes", losses.filter((size >= low) & (size <= high))
        yield f"length above {high} bytes", losses.filter(size > high)


def paired(challenger: pa.Table, champion: pa.Table, key: str) -> tuple[pa.Table, pa.Table]:
    """Both tables in the order of the key. Raises `BadData` when they do not have the same rows."""
    challenger, champion = challenger.sort_by(key), champion.sort_by(key)
    if not challenger[key].equals(champion[key]):
        raise BadData(f"the two models were not scored on the same {key}s: bring the reports up to date (`dvc repro`)")
    if "bytes" in challenger.column_names and not challenger["bytes"].equals(champion["bytes"]):
        raise BadData("the two models read documents of different lengths: evaluate again (`dvc repro`)")
    return challenger, champion


def tasks(challenger: pa.Table, champion: pa.Table) -> list[str]:
    """The tasks that at least one of them was evaluated on."""
    return sorted({*challenger["task"].to_pylist(), *champion["task"].to_pylist()})


def scores(challenger: pa.Table, champion: pa.Table, task: str) -> Pair:
    """Both models' scores on the examples of a task, in the same order."""
    return _columns(challenger, champion, task, "score")


def weights(challenger: pa.Table, champion: pa.Table, task: str) -> Pair:
    """The weights of these scores in the score of the task: of F1 they count what a model predicted."""
    return _columns(challenger, champion, task, "weight")


def _columns(challenger: pa.Table, champion: pa.Table, task: str, column: str) -> Pair:
    challenger, champion = (table.filter(pc.field("task") == task) for table in (challenger, champion))
    if not len(challenger) or not len(champion):
        nothing = np.zeros(len(challenger) + len(champion))
        return (_numbers(challenger, column), nothing) if len(challenger) else (nothing, _numbers(champion, column))
    challenger, champion = paired(challenger, champion, "example")
    return _numbers(challenger, column), _numbers(champion, column)


def _sliced(challenger: pa.Table, champion: pa.Table) -> dict[str, tuple[pa.Table, pa.Table]]:
    challenger, champion = paired(challenger, champion, "document")
    before = dict(slices(champion))
    return {name: (part, before[name]) for name, part in slices(challenger)}


def _joined(pairs: Sequence[Pair]) -> Pair:
    """The columns of several tasks, one behind the other."""
    challenger, champion = zip(*pairs, strict=True)
    return np.concatenate(challenger), np.concatenate(champion)


def _answers_change(
    scores: Pair, weights: Pair, settings: Gate, confidence: float, groups: NDArray[np.int64] | None = None
) -> Interval:
    """The change in the score of a task, a mean by weights, or of several tasks, as groups."""
    if all((side == 1).all() or not side.any() for side in weights):  # alike; none of a model that was not asked
        return _change(*scores, settings, confidence)
    challenger, champion = ((values * sizes, sizes) for values, sizes in zip(scores, weights, strict=True))
    return paired_ratios(
        challenger, champion, groups, resamples=settings.resamples, seed=settings.seed, confidence=confidence
    )


def _bits_change(challenger: pa.Table, champion: pa.Table, settings: Gate, confidence: float) -> Interval:
    return _change(_bits(challenger), _bits(champion), settings, confidence, _numbers(challenger, "bytes"))


def _change(
    challenger: NDArray[np.float64],
    champion: NDArray[np.float64],
    settings: Gate,
    confidence: float,
    weights: NDArray[np.float64] | None = None,
) -> Interval:
    return paired_bootstrap(
        challenger, champion, weights, resamples=settings.resamples, seed=settings.seed, confidence=confidence
    )


def _bits_per_byte(losses: pa.Table, settings: Gate) -> Interval:
    return bootstrap_interval(
        _bits(losses),
        _numbers(losses, "bytes"),
        resamples=settings.resamples,
        seed=settings.seed,
        confidence=settings.confidence,
    )


def _bits(losses: pa.Table) -> NDArray[np.float64]:
    return _numbers(losses, "nats") / math.log(2)


def _numbers(table: pa.Table, column: str) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = table[column].to_numpy().astype(np.float64)
    return numbers


def _interval(figure: Mapping[str, float]) -> Interval:
    return Interval(figure["value"], figure["low"], figure["high"])


def _below(group: Group, name: str, figure: Interval, limit: float) -> Rule:
    return _rule(group, name, figure, limit, f"upper end below {limit:.4g}", holds=figure.high < limit)


def _above(group: Group, name: str, figure: Interval, limit: float) -> Rule:
    return _rule(group, name, figure, limit, f"lower end above {limit:.4g}", holds=figure.low > limit)


def _rule(group: Group, name: str, figure: Interval, limit: float, needs: str, *, holds: bool) -> Rule:
    return Rule(group, name, figure, limit, f"needs {needs}", "holds" if holds else "fails")


def _fails(group: Group, name: str, why: str) -> Rule:
    return Rule(group, name, None, None, why, "fails")


def _not_judged(group: Group, name: str, why: str) -> Rule:
    return Rule(group, name, None, None, why, "not judged")


def _few(count: int, what: str, settings: Gate) -> str:
    return f"{count} {what}, fewer than {settings.min_documents}"
