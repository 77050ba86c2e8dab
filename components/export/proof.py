"""The proof of an export: what another library makes of it, beside what we make of the package."""

import operator
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from components.core.errors import BadData
from components.export.material import Material
from components.export.readers import ExportReader

EXACT, HALF = 1e-5, 1e-3
"""How much the perplexity may differ, as a share: in f32, where rounding differs alone; in f16."""
TIE = 1e-3
"""The largest difference of two logits of which rounding in f32 decides which is the larger."""


@dataclass(frozen=True)
class EqualCount:
    """How many were compared, and how many of them were equal."""

    compared: int
    equal: int


@dataclass(frozen=True)
class AnswerCount(EqualCount):
    """Greedy answers, token by token.

    ties: of those that differ, how many part where our two best logits are as close as the logits of both are to each
    other, and within `TIE`, so that neither token is the right one.
    """

    tokens: int
    ties: int


@dataclass(frozen=True)
class Comparison:
    """What a library made of an export, and we of the package."""

    texts: dict[str, EqualCount]  # equal: all token ids are
    conversations: EqualCount
    answers: AnswerCount
    logits: int  # compared numbers
    largest_difference: float  # of logits
    perplexity: float
    our_perplexity: float

    @property
    def change(self) -> float:
        """The change of the perplexity, as a share."""
        return self.perplexity / self.our_perplexity - 1

    def to_json(self) -> dict[str, object]:
        """All of it, as plain data."""
        return asdict(self) | {"perplexity_change": self.change}


def compare(ours: ExportReader, theirs: ExportReader, material: Material) -> Comparison:
    """Compare what two readers make of the same material."""
    texts = {
        kind: EqualCount(len(found), sum(map(operator.eq, ours.ids(found), theirs.ids(found))))
        for kind, found in material.texts.items()
    }
    chats = [ours.chat(turns) == theirs.chat(turns) for turns in material.conversations]
    size, largest, nats, tokens = 0, 0.0, np.zeros(2), 0
    for row in material.rows:
        both = ours.logits(row), theirs.logits(row)
        largest = max(largest, float(np.abs(both[0] - both[1]).max()))
        nats += [_nats(logits, row) for logits in both]
        size, tokens = size + both[0].size, tokens + len(row) - 1
    our_perplexity, perplexity = np.exp(nats / tokens).tolist()
    answers = _answers(ours, theirs, material, largest)
    return Comparison(texts, EqualCount(len(chats), sum(chats)), answers, size, largest, perplexity, our_perplexity)


def check(found: Comparison, what: str, most: float | None) -> None:
    """Raise `BadData` unless ids are equal and the perplexity changes by less than the share `most`.

    None: the weights are rounded so far that only the ids have to be equal. In f32 the answers have to be equal, too.
    """
    for kind, count in {**found.texts, "conversations": found.conversations}.items():
        if count.equal != count.compared:
            raise BadData(f"{what} has other token ids in {count.compared - count.equal} of {count.compared} {kind}")
    if most is not None and not abs(found.change) <= most:
        raise BadData(f"{what} changes the perplexity by {found.change:.3%}, more than {most:.3%}")
    differ = found.answers.compared - found.answers.equal - found.answers.ties
    if most == EXACT and differ:
        raise BadData(f"{what} gives another answer to {differ} of {found.answers.compared} prompts")


def _nats(logits: np.ndarray, row: Sequence[int]) -> float:
    """The loss of a row, from its second token on."""
    wide = logits[:-1].astype(np.float64)
    top = wide.max(-1)
    normaliser = top + np.log(np.exp(wide - top[:, None]).sum(-1))
    return float((normaliser - wide[np.arange(len(row) - 1), row[1:]]).sum())


def _answers(ours: ExportReader, theirs: ExportReader, material: Material, largest: float) -> AnswerCount:
    asked = material.prompts, material.answer_tokens, material.stop
    pairs = list(zip(material.prompts, ours.answers(*asked), theirs.answers(*asked), strict=True))
    differ = [found for found in pairs if found[1] != found[2]]
    return AnswerCount(
        compared=len(pairs),
        equal=len(pairs) - len(differ),
        tokens=sum(len(answer) for _, answer, _ in pairs),
        ties=sum(_is_tie(ours, *found, largest) for found in differ),
    )


def _is_tie(
    ours: ExportReader, prompt: Sequence[int], one: Sequence[int], other: Sequence[int], largest: float
) -> bool:
    """Whether two answers part where both tokens have the same logit, up to the difference between the readers."""
    common = next((n for n, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), None)
    if common is None:
        common = min(len(one), len(other))
    first, second = np.sort(ours.logits([*prompt, *one[:common]])[-1])[-2:][::-1]
    return bool(first - second <= min(2 * largest, TIE))
