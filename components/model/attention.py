"""Attention: queries, keys and values to their mixture, without weights of its own.

Names end with shapes: B batch, T time, S keys, H query heads, K key and value heads, D head size.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from components.model.loss import soft_cap

_BLOCKS = 2  # of queries in a causal attention; with more, compilation takes longer than they save


def attention(
    q_BHTD: Tensor,
    k_BKSD: Tensor,
    v_BKSD: Tensor,
    mask: Tensor | None,
    *,
    causal: bool,
    scale: float | None = None,
    cap: float | None = None,
) -> Tensor:
    """The output of attention, [B, H, T, D]; H / K consecutive query heads share the keys and values of one head.

    mask: which keys each query sees, bool [B, 1, T or 1, S]; None: all, or if causal those up to its own position.
    scale: of the products of queries and keys, by default D ** -0.5. cap: keeps them between -cap and cap.
    """
    if cap is not None:
        return _soft_capped(q_BHTD, k_BKSD, v_BKSD, mask, causal, scale, cap)
    if q_BHTD.device.type == "cpu" and q_BHTD.requires_grad:
        return _with_gradients(q_BHTD, k_BKSD, v_BKSD, mask, causal, scale)
    several = q_BHTD.shape[2] > 1  # a single token sees the whole cache
    if not several:
        return _of_one_token(q_BHTD, k_BKSD, v_BKSD, mask, scale)
    return F.scaled_dot_product_attention(
        q_BHTD,
        k_BKSD,
        v_BKSD,
        attn_mask=mask,
        is_causal=causal and mask is None,
        scale=scale,
        enable_gqa=True,
    )


def _of_one_token(q_BH1D: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    """Attention with the heads of a group in place of tokens, so that their keys and values are read once."""
    B, H, _, D = q_BH1D.shape
    grouped = q_BH1D.reshape(B, k_BKSD.shape[1], -1, D)
    return F.scaled_dot_product_attention(grouped, k_BKSD, v_BKSD, attn_mask=mask, scale=scale).view(B, H, 1, D)


def _soft_capped(
    q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor | None, causal: bool, scale: float | None, cap: float
) -> Tensor:
    """Attention whose products are kept between -cap and cap, which PyTorch's kernels cannot."""
    B, H, T, D = q_BHTD.shape
    _, K, S, _ = k_BKSD.shape
    q, k, v = q_BHTD.reshape(B * K, H // K * T, D), k_BKSD.reshape(B * K, S, D), v_BKSD.reshape(B * K, S, D)
    scores = soft_cap((q @ k.mT).float() * (scale or D**-0.5), cap).view(B, H, T, S)
    if mask is None and causal:
        mask = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1).to(v.dtype).view(B * K, H // K * T, S)
    return (weights @ v).view(B, H, T, D)


def _with_gradients(
    q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor | None, causal: bool, scale: float | None
) -> Tensor:
    """Attention for training on a processor; if causal, in blocks of queries, each with the keys up to its own end.

    docs/decisions.md, "In fp32 there are fewer products"
    """
    T, S = q_BHTD.shape[2], k_BKSD.shape[2]
    if not causal:
        return _of_group(q_BHTD, k_BKSD, v_BKSD, mask, scale)
    if mask is None:
        mask = torch.ones(1, 1, T, S, dtype=torch.bool).tril()
    size = -(-T // _BLOCKS)
    found = [
        _of_group(q_BHTD[:, :, start:end], k_BKSD[:, :, :end], v_BKSD[:, :, :end], mask[:, :, start:end, :end], scale)
        for start, end in ((start, min(start + size, T)) for start in range(0, T, size))
    ]
    return torch.cat(found, 2)


def _of_group(q_BHTD: Tensor, k_BKSD: Tensor, v_BKSD: Tensor, mask: Tensor | None, scale: float | None) -> Tensor:
    """Attention with the heads of a group as the rows of one matrix, so that their keys and values need no copies."""
    B, H, T, D = q_BHTD.shape
    _, K, S, _ = k_BKSD.shape
    q, k, v = q_BHTD.reshape(B * K, H // K * T, D), k_BKSD.reshape(B * K, S, D), v_BKSD.reshape(B * K, S, D)
    out: Tensor = _Attention.apply(q, k, v, mask, (B, H, T, S), scale or D**-0.5)  # type: ignore[no-untyped-call]
    return out.view(B, H, T, D)


class _Attention(torch.autograd.Function):
    """Batched matrix products around a softmax, which the compiler fuses; its weights are saved in the type of `v`.

    On processors PyTorch's own kernel takes three times as long, and autograd would keep the weights in fp32.
    docs/decisions.md, "Attention on processors is two matrix products and a softmax"
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, shape: tuple[int, ...], scale: float
    ) -> Tensor:
        scores = (q @ k.mT).float() * scale
        if mask is not None:
            scores = torch.where(mask, scores.view(shape), -torch.inf).view_as(scores)
        weights = scores.softmax(-1).to(v.dtype)
        ctx.save_for_backward(q, k, v, weights)
        ctx.scale = scale
        found: Tensor = weights @ v
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, weights = ctx.saved_tensors
        (gradient,) = gradients
        of_weights = (gradient @ v.mT).float()
        mean = (weights * of_weights).sum(-1, keepdim=True)
        of_scores = (weights * (of_weights - mean) * ctx.scale).to(q.dtype)
        return of_scores @ k, of_scores.mT @ q, weights.mT @ gradient, None, None, None
