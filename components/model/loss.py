"""The loss of the head: cross-entropy over the vocabulary, without ever holding the logits of all positions."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

IGNORED = -100
"""The target of a position that is excluded from the loss."""

_MULTIPLE = 64  # of positions: zero, or a single one, would each be compiled separately

Body = Callable[[Tensor, Tensor, float | None, float], tuple[Tensor, Tensor]]


def soft_cap(logits: Tensor, cap: float | None) -> Tensor:
    """Logits kept between -cap and cap, smoothly (Gemma 2, https://arxiv.org/abs/2408.00118)."""
    return logits if cap is None else cap * torch.tanh(logits / cap)


def with_targets(targets_N: Tensor) -> tuple[Tensor | None, Tensor]:
    """The positions that have a target, and some without up to a multiple of 64; and the targets there.

    None in place of the positions means all of them, as on a GPU, which would have to wait to learn their number.
    """
    ignored = targets_N == IGNORED
    if targets_N.device.type != "cpu" or not ignored.any():
        return None, targets_N
    multiples = max(1, -(-int((~ignored).sum()) // _MULTIPLE))
    wanted = ignored.argsort(stable=True)[: multiples * _MULTIPLE]
    return wanted, targets_N[wanted]


def cross_entropy(
    hidden_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, *, cap: float | None, z_loss: float, compiled: bool
) -> Tensor:
    """The cross-entropy, summed in nats over the targets that are not `IGNORED`.

    `z_loss` is the weight of the squared log-normaliser (PaLM, https://arxiv.org/abs/2204.02311). Under autocast the
    matrix products are in its type; the rest is in fp32.
    """
    if torch.is_autocast_enabled(hidden_NC.device.type):
        hidden_NC = hidden_NC.to(torch.get_autocast_dtype(hidden_NC.device.type))
    if torch.is_grad_enabled():
        on_processor = hidden_NC.device.type == "cpu"
        body = _compiled(any_number=on_processor) if compiled else _nats_and_gradient
        loss: Tensor = _CrossEntropy.apply(hidden_NC, weight_VC, targets_N, cap, z_loss, body)  # type: ignore[no-untyped-call]
        return loss
    weight_VC = weight_VC.to(hidden_NC.dtype)
    sums = [_nats(hidden_NC[rows] @ weight_VC.mT, targets_N[rows], cap, z_loss)[0] for rows in _chunks(targets_N)]
    total: Tensor = torch.stack(sums).sum()
    return total


class _CrossEntropy(torch.autograd.Function):
    """The loss in chunks of positions; the gradients are computed at once, while the logits of a chunk are in memory.

    That of a frozen weight is not computed. So memory grows with the vocabulary and with the positions, never with both
    (Hsu et al., https://arxiv.org/abs/2410.10989).
    docs/decisions.md, "The loss in chunks"
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NC: Tensor,
        weight_VC: Tensor,
        targets_N: Tensor,
        cap: float | None,
        z_loss: float,
        body: Body,
    ) -> Tensor:
        weight = weight_VC.to(hidden_NC.dtype)
        weight_gradient = torch.zeros_like(weight_VC) if ctx.needs_input_grad[1] else None
        hidden_gradient = torch.zeros_like(hidden_NC)
        total = torch.zeros((), device=hidden_NC.device)
        for rows in _chunks(targets_N):
            hidden = hidden_NC[rows]
            nats, gradient_NV = body(hidden @ weight.mT, targets_N[rows], cap, z_loss)
            hidden_gradient[rows] = gradient_NV @ weight
            if weight_gradient is not None:
                weight_gradient += gradient_NV.mT @ hidden
            total += nats
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *scales: Tensor) -> tuple[Tensor | None, ...]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        of_weight = None if weight_gradient is None else weight_gradient * scales[0]
        return hidden_gradient * scales[0], of_weight, None, None, None, None


def _chunks(targets_N: Tensor) -> list[slice]:
    """The chunks of positions whose logits are in memory at once; on a processor they should fit into its cache."""
    size = 1024 if targets_N.device.type == "cpu" else 4096
    return [slice(start, start + size) for start in range(0, len(targets_N), size)]


@cache
def _compiled(*, any_number: bool) -> Body:
    """Compiled for any number of positions, or for each number separately."""
    body: Body = torch.compile(_nats_and_gradient, dynamic=any_number)
    return body


def _nats_and_gradient(logits_NV: Tensor, targets_N: Tensor, cap: float | None, z_loss: float) -> tuple[Tensor, Tensor]:
    """The sum of the losses, and its gradient with respect to the logits, in their type."""
    nats, capped_NV, normaliser = _nats(logits_NV, targets_N, cap, z_loss)
    at_target = torch.arange(logits_NV.shape[1], device=logits_NV.device) == targets_N[:, None]
    gradient_NV = (capped_NV - normaliser).exp() * (1 + 2 * z_loss * normaliser) - at_target.float()
    if cap is not None:
        gradient_NV = gradient_NV * (1 - (capped_NV / cap).square())
    return nats, torch.where(targets_N[:, None] == IGNORED, 0.0, gradient_NV).to(logits_NV.dtype)


def _nats(logits_NV: Tensor, targets_N: Tensor, cap: float | None, z_loss: float) -> tuple[Tensor, Tensor, Tensor]:
    """The sum of the losses, the capped logits, and their log-normalisers [N, 1]."""
    capped_NV = soft_cap(logits_NV.float(), cap)
    normaliser = capped_NV.logsumexp(-1, keepdim=True)
    wanted = capped_NV.gather(1, targets_N.clamp_min(0)[:, None])
    nats = normaliser - wanted + z_loss * normaliser.square()
    return torch.where(targets_N[:, None] == IGNORED, 0.0, nats).sum(), capped_NV, normaliser
