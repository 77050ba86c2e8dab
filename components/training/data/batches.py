"""The batches of training steps, and a thread that prefetches each during the step before."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from components.model.spans import corrupt_spans
from components.model.transformer import IGNORED
from components.training.data import source_mix
from components.training.data.source_mix import Phases
from components.training.data.windows import Windows, order
from components.training.engine import distributed


@dataclass(frozen=True)
class Batch:
    """The input of `Transformer.loss`: tokens and, for each, its target.

    Segments number the parts of a row that do not attend to each other. The source is what an encoder-decoder reads.
    """

    tokens_BT: Tensor
    targets_BT: Tensor
    segments_BT: Tensor | None = None
    source_BS: Tensor | None = None
    source_segments_BS: Tensor | None = None

    def __len__(self) -> int:
        return len(self.tokens_BT)

    def tensors(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]:
        """The arguments of `Transformer.loss`, in order."""
        return self.tokens_BT, self.targets_BT, self.segments_BT, self.source_BS, self.source_segments_BS

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; from pinned memory the copy is asynchronous."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> "Batch":
        """The batch in page-locked memory, from which a GPU copies asynchronously."""
        return self._each(lambda tensor: tensor.pin_memory())

    def split(self, rows: int) -> list["Batch"]:
        """The batch in parts of some rows each."""
        return [self._rows(slice(start, start + rows)) for start in range(0, len(self), rows)]

    @classmethod
    def cat(cls, batches: Sequence["Batch"]) -> "Batch":
        """Concatenate the rows of several batches of one shape."""
        columns = {field.name: [getattr(batch, field.name) for batch in batches] for field in fields(cls)}
        return cls(**{name: torch.cat(column) for name, column in columns.items() if column[0] is not None})

    def _rows(self, rows: slice) -> "Batch":
        return self._each(lambda tensor: tensor[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(tensor) for name, tensor in changed.items() if tensor is not None})


Rows = Callable[[np.ndarray], Batch]
"""The rows at the given places of an endless sequence."""


@dataclass(frozen=True)
class Share:
    """The part of a batch that one process trains on, in host memory: micro-batches, and their number of targets."""

    micro_batches: list[Batch]
    targets: Tensor

    @property
    def lengths(self) -> tuple[int, int]:
        """Tokens per row: those to predict from, and those of the source."""
        first = self.micro_batches[0]
        return first.tokens_BT.shape[1], 0 if first.source_BS is None else first.source_BS.shape[1]

    @property
    def tokens(self) -> int:
        """The number of tokens, of all processes."""
        return sum(map(len, self.micro_batches)) * sum(self.lengths) * distributed.world_size()

    @property
    def without_target(self) -> int:
        """The number of tokens without a target, of this process."""
        return sum(map(len, self.micro_batches)) * self.lengths[0] - int(self.targets)


class Prefetch:
    """Shares by the first place of their batch. Reading is a pure function: what was discarded is read again."""

    def __init__(self, rows: Callable[[np.ndarray], Batch], batch_size: int, micro_batch_size: int) -> None:
        self._rows, self._batch_size, self._micro_batch_size = rows, batch_size, micro_batch_size
        self._thread = ThreadPoolExecutor(1, "prefetch")
        self._ahead: dict[int, Future[Share]] = {}

    def take(self, place: int) -> Share:
        """The share at a place; the one after it is prefetched."""
        share = self._ahead.get(place) or self._thread.submit(self._read, place)
        behind = place + self._batch_size
        self._ahead = {behind: self._thread.submit(self._read, behind)}
        return share.result()

    def _read(self, place: int) -> Share:
        count = self._batch_size // distributed.world_size()
        start = place + distributed.rank() * count
        batch = self._rows(np.arange(start, start + count))
        targets = (batch.targets_BT != IGNORED).sum().float()
        micro_batches = batch.split(self._micro_batch_size)
        if torch.cuda.is_available():
            return Share([part.pin() for part in micro_batches], targets.pin_memory())
        return Share(micro_batches, targets)


Objective = Callable[[np.ndarray, np.ndarray, int], Batch]
"""Maps windows [B, T + 1], the places of the rows [B] and the seed to a batch."""


@dataclass(frozen=True)
class Causal:
    """GPT: each token of a window predicts the next one."""

    start_of_text: int
    document_mask: bool

    def __call__(self, windows: np.ndarray, places: np.ndarray, seed: int) -> Batch:  # noqa: ARG002 (nothing to draw)
        rows = torch.from_numpy(windows)
        tokens_BT = rows[:, :-1]
        return Batch(tokens_BT, rows[:, 1:], _segments(tokens_BT, self.start_of_text) if self.document_mask else None)


@dataclass(frozen=True)
class Masked:
    """BERT (https://arxiv.org/abs/1810.04805): some tokens are hidden, and predicted at their positions.

    Most of the hidden ones are replaced by the mask, some by a random token, and the rest are left as they are, so that
    the output at ordinary tokens matters too. The borders of a text are never hidden.
    """

    start_of_text: int
    end_of_text: int
    mask: int
    ordinary_tokens: np.ndarray  # ids that are not special
    document_mask: bool
    rate: float  # of the tokens, hidden
    masked: float  # of the hidden
    random: float  # of the hidden

    def __call__(self, windows: np.ndarray, places: np.ndarray, seed: int) -> Batch:
        rows = windows[:, :-1]
        shape = rows.shape[1]
        draws = [_rng(seed, place) for place in places.tolist()]
        inner = ~np.isin(rows, (self.start_of_text, self.end_of_text))
        hidden = np.stack([chance.random(shape) < self.rate for chance in draws]) & inner
        fate = np.stack([chance.random(shape) for chance in draws])
        chosen = np.stack([chance.integers(len(self.ordinary_tokens), size=shape) for chance in draws])
        others = self.ordinary_tokens[chosen]
        shown = np.where(fate < self.masked, self.mask, np.where(fate < self.masked + self.random, others, rows))
        tokens_BT = torch.from_numpy(np.where(hidden, shown, rows))
        segments_BT = _segments(torch.from_numpy(rows), self.start_of_text) if self.document_mask else None
        return Batch(tokens_BT, torch.from_numpy(np.where(hidden, rows, IGNORED)), segments_BT)


@dataclass(frozen=True)
class SpanCorruption:
    """T5 (https://arxiv.org/abs/1910.10683): spans are replaced by sentinels, and the decoder generates them.

    The number of hidden tokens and of spans is the same in all rows, and so are the lengths of source and target.
    """

    end_of_text: int
    sentinels: Sequence[int]
    rate: float  # of the tokens, hidden
    mean_span: float  # in tokens

    def __call__(self, windows: np.ndarray, places: np.ndarray, seed: int) -> Batch:
        rows = [self._row(row[:-1], _rng(seed, place)) for row, place in zip(windows, places.tolist(), strict=True)]
        source, target = (torch.from_numpy(np.stack(side)) for side in zip(*rows, strict=True))
        return Batch(target[:, :-1], target[:, 1:], source_BS=source)

    def sizes(self, length: int) -> tuple[int, int]:
        """Hidden tokens and spans of a window."""
        hidden = min(max(round(length * self.rate), 1), length - 1)
        return hidden, max(1, min(round(hidden / self.mean_span), hidden, length - hidden))

    def _row(self, tokens: np.ndarray, chance: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The source, and the start token with the target: each span after its sentinel, and the end."""
        hidden, spans = self.sizes(len(tokens))
        lengths = np.stack([_parts(len(tokens) - hidden, spans, chance), _parts(hidden, spans, chance)], 1).ravel()
        return corrupt_spans(np.split(tokens, lengths.cumsum()[:-1]), self.sentinels, self.end_of_text)


def _parts(total: int, count: int, chance: np.random.Generator) -> np.ndarray:
    """A total cut at random into `count` parts, none of them empty."""
    cuts = np.sort(chance.permutation(total - 1)[: count - 1]) + 1
    return np.diff(cuts, prepend=0, append=total)


def _segments(tokens_BT: torch.Tensor, start_of_text: int) -> torch.Tensor:
    """The number of its document for each token; where one token stands between two, it belongs to the second."""
    return (tokens_BT == start_of_text).cumsum(1)


def _rng(seed: int, place: int) -> np.random.Generator:
    return np.random.default_rng((seed, place))


def of_documents(tokens: Path, split: str, learn: Objective, length: int, seed: int, part: str = "documents") -> Rows:
    """The rows that an objective makes of the windows of a split of documents, or a part of it, in a shuffled order."""
    windows = Windows.of_split(tokens, split, length, part)
    return lambda places: learn(windows.take(order(places, len(windows), seed)), places, seed)


def of_sources(sources: Mapping[str, Windows], phases: Phases, learn: Objective, seed: int) -> Rows:
    """The rows that an objective makes of the windows of several sources, by the plan of a mixture."""
    sizes = {name: len(windows) for name, windows in sources.items()}

    def rows(places: np.ndarray) -> Batch:
        read = source_mix.rows_at(places, phases, sizes, seed)
        return learn(np.concatenate([sources[name].take(np.array([window])) for name, window in read]), places, seed)

    return rows
