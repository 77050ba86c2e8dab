"""Attention: PyTorch's fused kernels, and for training on a processor what is faster there."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCKS = 2  # of queries in a causal attention; with more, compiling takes longer than they save


def attention(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor | None, *, causal: bool) -> Tensor:
    """What the queries find, [B, H, T, D]; H / K heads of queries in a row share the keys and values of one.

    mask: which keys each query sees, bool [B, 1, T or 1, S]; None: all, or if causal those up to its own place.
    """
    if q_BHTD.device.type == "cpu" and q_BHTD.requires_grad:
        return _with_gradients(q_BHTD, k_BKSD, v_BKSD, mask, causal)
    several = q_BHTD.shape[2] > 1  # a single token sees all of the cache
    return F.scaled_dot_product_attention(
        q_BHTD, k_BKSD, v_BKSD, attn_mask=mask, is_causal=causal and mask is None and several, enable_gqa=True
    )


def _with_gradients(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """In a causal attention the queries in some blocks one after the other, each with the keys up to its own end."""
    T, S = q_BHTD.shape[2], k_BKSD.shape[2]
    if not causal:
        return _of_group(q_BHTD, k_BKSD, v_BKSD, mask)
    if mask is None:
        mask = torch.ones(1, 1, T, S, dtype=torch.bool).tril()
    size = -(-T // _BLOCKS)
    found = [
        _of_group(q_BHTD[:, :, start:end], k_BKSD[:, :, :end], v_BKSD[:, :, :end], mask[:, :, start:end, :end])
        for start, end in ((start, min(start + size, T)) for start in range(0, T, size))
    ]
    return torch.cat(found, 2)


def _of_group(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor | None) -> Tensor:
    """The heads of a group as the rows of one matrix, so that their keys and values need no copies."""
    B, H, T, D = q_BHTD.shape
    _, K, S, _ = k_BKSD.shape
    q, k, v = q_BHTD.reshape(B * K, H // K * T, D), k_BKSD.reshape(B * K, S, D), v_BKSD.reshape(B * K, S, D)
    out: Tensor = _Attention.apply(q, k, v, mask, (B, H, T, S))  # type: ignore[no-untyped-call]
    return out.view(B, H, T, D)


class _Attention(torch.autograd.Function):
    """Batched matrix products around a softmax, which the compiler fuses; its weights are kept in the type of `v`.

    On processors PyTorch's own kernel takes three times as long, and autograd would keep the weights in fp32.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, shape: tuple[int, ...]) -> Tensor:
        scores = (q @ k.mT).float() * q.shape[-1] ** -0.5
        if mask is not None:
            scores = torch.where(mask, scores.view(shape), -torch.inf).view_as(scores)
        weights = scores.softmax(-1).to(v.dtype)
        ctx.save_for_backward(q, k, v, weights)
        found: Tensor = weights @ v
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights = ctx.saved_tensors
        (gradient,) = gradients
        of_weights = (gradient @ v.mT).float()
        mean = (weights * of_weights).sum(-1, keepdim=True)
        of_scores = (weights * (of_weights - mean) * q.shape[-1] ** -0.5).to(q.dtype)
        return of_scores @ k, of_scores.mT @ q, weights.mT @ gradient, None, None
