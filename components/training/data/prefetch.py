"""The rows of this process, read by a thread while the step before is trained on."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from components.model.transformer import IGNORED
from components.training.data.batches import Batch
from components.training.engine import distributed


@dataclass(frozen=True)
class Share:
    """What a process trains on in one step, in host memory: its micro-batches, and the number of targets in them."""

    micro_batches: list[Batch]
    targets: Tensor

    @property
    def lengths(self) -> tuple[int, int]:
        """Of a row: the tokens to predict from, and those of the source."""
        first = self.micro_batches[0]
        return first.tokens_BT.shape[1], 0 if first.source_BS is None else first.source_BS.shape[1]

    @property
    def tokens(self) -> int:
        """How many there are, of all processes."""
        return sum(map(len, self.micro_batches)) * sum(self.lengths) * distributed.size()

    @property
    def without_target(self) -> int:
        """Places to predict from that have no target, of this process."""
        return sum(map(len, self.micro_batches)) * self.lengths[0] - int(self.targets)


class Prefetch:
    """Shares by the first place of their batch. Reading is a pure function: what was read in vain is read again."""

    def __init__(self, rows: Callable[[np.ndarray], Batch], batch_size: int, micro_batch_size: int) -> None:
        self._rows, self._batch_size, self._micro_batch_size = rows, batch_size, micro_batch_size
        self._thread = ThreadPoolExecutor(1, "prefetch")
        self._ahead: dict[int, Future[Share]] = {}

    def take(self, place: int) -> Share:
        """The share at a place; the one behind it is read from now on."""
        share = self._ahead.get(place) or self._thread.submit(self._read, place)
        behind = place + self._batch_size
        self._ahead = {behind: self._thread.submit(self._read, behind)}
        return share.result()

    def _read(self, place: int) -> Share:
        count = self._batch_size // distributed.size()
        start = place + distributed.rank() * count
        batch = self._rows(np.arange(start, start + count))
        targets = (batch.targets_BT != IGNORED).sum().float()
        micro_batches = batch.split(self._micro_batch_size)
        if torch.cuda.is_available():
            return Share([part.pin() for part in micro_batches], targets.pin_memory())
        return Share(micro_batches, targets)
