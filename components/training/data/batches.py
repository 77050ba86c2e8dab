"""What a model learns from in a step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What `Transformer.loss` takes: tokens and, for each, the one that should be predicted there.

    Segments number the parts of a row that do not see each other. The source is what an encoder-decoder reads.
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
        """The batch on a device; from pinned memory without waiting for it."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin(self) -> "Batch":
        """The batch in page-locked memory, from which a GPU copies by itself."""
        return self._each(lambda tensor: tensor.pin_memory())

    def split(self, rows: int) -> list["Batch"]:
        """The batch in parts of some rows each."""
        return [self._rows(slice(start, start + rows)) for start in range(0, len(self), rows)]

    @classmethod
    def cat(cls, batches: Sequence["Batch"]) -> "Batch":
        """The rows of several batches of one shape as one."""
        columns = {field.name: [getattr(batch, field.name) for batch in batches] for field in fields(cls)}
        return cls(**{name: torch.cat(column) for name, column in columns.items() if column[0] is not None})

    def _rows(self, rows: slice) -> "Batch":
        return self._each(lambda tensor: tensor[rows])

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        changed = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(tensor) for name, tensor in changed.items() if tensor is not None})


Rows = Callable[[np.ndarray], Batch]
"""The rows at the given places of an endless sequence."""
