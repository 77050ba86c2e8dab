"""What a model learns from windows of text: the next token, hidden tokens, or hidden spans.

Each objective makes of windows [B, T + 1] a batch. What chance decides about a row follows from the seed and the place
of the row in the shuffled sequence, so that a row is the same on any number of processes, and after a restart.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from components.model.spans import hide
from components.model.transformer import IGNORED
from components.training.data.batches import Batch, Rows
from components.training.data.shuffle import order
from components.training.data.windows import Windows

Objective = Callable[[np.ndarray, np.ndarray, int], Batch]
"""Windows [B, T + 1], the places of the rows [B] and the seed, to a batch."""


@dataclass(frozen=True)
class Causal:
    """GPT: each token of a window predicts the next one."""

    end_of_text: int
    document_mask: bool

    def __call__(self, windows: np.ndarray, places: np.ndarray, seed: int) -> Batch:  # noqa: ARG002 (nothing to draw)
        rows = torch.from_numpy(windows)
        tokens_BT = rows[:, :-1]
        return Batch(tokens_BT, rows[:, 1:], _segments(tokens_BT, self.end_of_text) if self.document_mask else None)


@dataclass(frozen=True)
class Masked:
    """BERT (https://arxiv.org/abs/1810.04805): some tokens are hidden, and predicted where they stood.

    Of the hidden ones most show the mask, some a random token, and the rest themselves, so that what the model makes
    of an ordinary token matters too. The end of a text is never hidden.
    """

    end_of_text: int
    mask: int
    ordinary_tokens: int  # ids below are text, those from it on special
    document_mask: bool
    rate: float  # of the tokens, hidden
    masked: float  # of the hidden
    random: float  # of the hidden

    def __call__(self, windows: np.ndarray, places: np.ndarray, seed: int) -> Batch:
        rows = windows[:, :-1]
        shape = rows.shape[1]
        draws = [_chance(seed, place) for place in places.tolist()]
        hidden = np.stack([chance.random(shape) < self.rate for chance in draws]) & (rows != self.end_of_text)
        fate = np.stack([chance.random(shape) for chance in draws])
        others = np.stack([chance.integers(self.ordinary_tokens, size=shape) for chance in draws])
        shown = np.where(fate < self.masked, self.mask, np.where(fate < self.masked + self.random, others, rows))
        tokens_BT = torch.from_numpy(np.where(hidden, shown, rows))
        segments_BT = _segments(torch.from_numpy(rows), self.end_of_text) if self.document_mask else None
        return Batch(tokens_BT, torch.from_numpy(np.where(hidden, rows, IGNORED)), segments_BT)


@dataclass(frozen=True)
class SpanCorruption:
    """T5 (https://arxiv.org/abs/1910.10683): spans give way to sentinels, and the decoder writes what they hid.

    The number of hidden tokens and of spans is the same in all rows, and so are the lengths of source and target.
    """

    end_of_text: int
    sentinels: Sequence[int]
    rate: float  # of the tokens, hidden
    mean_span: float  # in tokens

    def __call__(self, windows: np.ndarray, places: np.ndarray, seed: int) -> Batch:
        rows = [self._row(row[:-1], _chance(seed, place)) for row, place in zip(windows, places.tolist(), strict=True)]
        source, target = (torch.from_numpy(np.stack(side)) for side in zip(*rows, strict=True))
        return Batch(target[:, :-1], target[:, 1:], source_BS=source)

    def sizes(self, length: int) -> tuple[int, int]:
        """Hidden tokens and spans of a window."""
        hidden = min(max(round(length * self.rate), 1), length - 1)
        return hidden, max(1, min(round(hidden / self.mean_span), hidden, length - hidden))

    def _row(self, tokens: np.ndarray, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The source, and the start token with the target: each span behind its sentinel, and the end."""
        hidden, spans = self.sizes(len(tokens))
        lengths = np.stack([_parts(len(tokens) - hidden, spans, chance), _parts(hidden, spans, chance)], 1).ravel()
        return hide(np.split(tokens, lengths.cumsum()[:-1]), self.sentinels, self.end_of_text)


def _parts(total: int, count: int, chance: np.random.Generator) -> np.ndarray:
    """A total cut at random into a number of parts, none of them empty."""
    cuts = np.sort(chance.permutation(total - 1)[: count - 1]) + 1
    return np.diff(cuts, prepend=0, append=total)


def _segments(tokens_BT: torch.Tensor, end_of_text: int) -> torch.Tensor:
    """The number of its document for each token; the end of a text is the first token that the next one sees."""
    return (tokens_BT == end_of_text).cumsum(1)


def _chance(seed: int, place: int) -> np.random.Generator:
    return np.random.default_rng((seed, place))


def of_documents(tokens: Path, split: str, learn: Objective, length: int, seed: int) -> Rows:
    """What an objective makes of the windows of a split of documents, in a shuffled order."""
    windows = Windows.of_split(tokens, split, length)
    return lambda places: learn(windows.take(order(places, len(windows), seed)), places, seed)
