"""Masks of attention: which tokens a token sees. True where it does.

Names end with shapes: B batch, T time, S keys.
"""

import torch
from torch import Tensor

PADDING_SEGMENT = -1
"""The segment of padding, which has no targets."""


def same_segment(segments_BT: Tensor | None, keys_BS: Tensor | None, *, causal: bool = False) -> Tensor | None:
    """The mask [B, 1, T, S] by which a token sees those of its own segment, or if causal those up to itself.

    Padding sees everything: a row of a mask without a single key would have no softmax.
    docs/decisions.md, "Documents do not see each other"
    """
    if segments_BT is None or keys_BS is None:
        return None
    same = (segments_BT[:, :, None] == keys_BS[:, None, :]) | (segments_BT[:, :, None] == PADDING_SEGMENT)
    return (same.tril() if causal else same)[:, None]


def within_window(mask: Tensor | None, tokens_BT: Tensor, read: int, window: int | None) -> Tensor | None:
    """The mask [B or 1, 1, T, S] by which a token of a decoder sees the last `window` tokens of those in `mask`.

    `read` tokens are in front of these. Distances are counted in places of a row: none lies between two tokens of a
    segment that is not of it.
    """
    length = tokens_BT.shape[1]
    if window is None or read + length <= window:
        return mask
    keys_S = torch.arange(read + length, device=tokens_BT.device)
    queries_T1 = keys_S[read:, None]
    near_TS = (keys_S <= queries_T1) & (keys_S > queries_T1 - window)
    return near_TS[None, None] if mask is None else mask & near_TS


def not_padding(tokens_BT: Tensor, lengths_B: Tensor | None) -> Tensor | None:
    """The mask [B, 1, 1, T] of what is not padding in rows of these lengths; None: there is none."""
    if lengths_B is None or (lengths_B == tokens_BT.shape[1]).all():
        return None
    return (torch.arange(tokens_BT.shape[1], device=tokens_BT.device) < lengths_B[:, None])[:, None, None]
