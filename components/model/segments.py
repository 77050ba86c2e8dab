"""Packed rows taken apart: the segments of a batch, each as a row of its own that is padded at its end."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from components.model.transformer import PADDING_SEGMENT


class SegmentPlace(NamedTuple):
    """A segment: its row, and its tokens from `start` to before `stop`."""

    row: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


def pieces(tokens_BT: Tensor, segments_BT: Tensor | None) -> list[SegmentPlace]:
    """The segments of a batch in their order, without padding; without segments each row is one."""
    rows, length = tokens_BT.shape
    if segments_BT is None:
        return [SegmentPlace(row, 0, length) for row in range(rows)]
    found = []
    for row, numbers in enumerate(segments_BT.cpu()):
        ends = [*(numbers.diff().nonzero().flatten() + 1).tolist(), length]
        for start, stop in zip([0, *ends], ends, strict=False):
            if int(numbers[start]) != PADDING_SEGMENT:
                found.append(SegmentPlace(row, start, stop))
    return found


def of_similar_length(pieces: Sequence[SegmentPlace], sources: Sequence[SegmentPlace] | None) -> list[list[int]]:
    """The places of the pieces in groups, in each of which the longest is less than twice as long as the shortest.

    So that padding stays below half, and the number of groups small. What counts is a piece with its source.
    """
    groups: dict[int, list[int]] = {}
    for place, piece in enumerate(pieces):
        length = len(piece) + (len(sources[place]) if sources else 0)
        groups.setdefault(length.bit_length(), []).append(place)
    return [groups[size] for size in sorted(groups)]


def cut(values_BT: Tensor, pieces: Sequence[SegmentPlace], padding: int) -> tuple[Tensor, Tensor]:
    """The values of some pieces, [N, longest], and the length of each."""
    rows = [values_BT[piece.row, piece.start : piece.stop] for piece in pieces]
    lengths_N = torch.tensor([len(piece) for piece in pieces], device=values_BT.device)
    return pad_sequence(rows, batch_first=True, padding_value=padding), lengths_N


def not_padding(tokens_BT: Tensor, lengths_B: Tensor | None) -> Tensor | None:
    """The mask of what is not padding, as `transformers` takes it: int64 [B, T]. None: there is no padding."""
    if lengths_B is None or bool((lengths_B == tokens_BT.shape[1]).all()):
        return None
    return (torch.arange(tokens_BT.shape[1], device=tokens_BT.device) < lengths_B[:, None]).long()
