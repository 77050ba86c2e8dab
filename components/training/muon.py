"""Muon: the momentum of each matrix, made orthogonal (https://kellerjordan.github.io/posts/muon/)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

MOMENTUM = 0.95
"""As in Keller Jordan's post, with Nesterov's look ahead."""

# Odd polynomials a x + b x^3 + c x^5. One after the other they bring singular values from 0.003 to 1 within 0.77 and
# 1.23 (Jordan's five: 0.68 and 1.2): the best that four can do (Polar Express, https://arxiv.org/abs/2505.16932), made
# for 2% more than the range that they get, lest rounding in bf16 leads out of it, and never for less than its 50th.
POLYNOMIALS = (
    (8.0912, -22.3032, 15.7516),
    (3.9471, -2.7873, 0.5043),
    (3.4865, -2.5147, 0.482),
    (2.5195, -1.8004, 0.407),
)


class Muon(Optimizer):
    """Momentum with steps of one size in all directions of a matrix, scaled to those of AdamW.

    (https://arxiv.org/abs/2502.16982). Takes matrices, also as FSDP2's shards. Gradients are divided by the tensor
    `grad_scale`, and where the tensor `found_inf` is 1 nothing changes, as with the fused AdamW of PyTorch.
    """

    def __init__(self, weights: Iterable[nn.Parameter], *, lr: float, weight_decay: float, compiled: bool) -> None:
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})
        self.grad_scale: Tensor | None = None
        self.found_inf: Tensor | None = None
        self._look_ahead = torch.compile(_look_ahead, dynamic=False) if compiled else _look_ahead
        self._apply = torch.compile(_apply, dynamic=False) if compiled else _apply

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002 (all take one)
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            device = weights[0].device
            skipped = torch.zeros((), device=device) if self.found_inf is None else self.found_inf
            scale = torch.ones((), device=device) if self.grad_scale is None else self.grad_scale
            rate = torch.full((), group["lr"], device=device) * (1 - skipped)
            gradients, momenta = [weight.grad for weight in weights], [self._momentum(weight) for weight in weights]
            ahead = self._look_ahead(_local(gradients), _local(momenta), scale, skipped)
            updates = _each_orthogonal([_whole(part, weight) for part, weight in zip(ahead, weights, strict=True)])
            updates = [_part(update, weight) for update, weight in zip(updates, weights, strict=True)]
            sizes = [0.2 * max(weight.shape) ** 0.5 for weight in weights]
            self._apply(_local(weights), updates, sizes, rate, group["weight_decay"])

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum_buffer"]
        return momentum


def orthogonal(matrices_NRC: Tensor) -> Tensor:
    """For each matrix about the nearest one with orthogonal rows or columns, in bf16.

    Each polynomial is taken on the matrices themselves. Several in a row on the square X X^T would cost fewer products,
    but where one direction outweighs the others their rounding errors grow beyond all bounds.
    """
    wide = matrices_NRC if matrices_NRC.shape[1] <= matrices_NRC.shape[2] else matrices_NRC.mT
    norms = torch.linalg.vector_norm(wide, dim=(1, 2), keepdim=True, dtype=torch.float32)
    x = (wide / (norms + 1e-20)).bfloat16()
    for a, b, c in POLYNOMIALS:
        gram: Tensor = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    near: Tensor = x if wide is matrices_NRC else x.mT
    return near


def _each_orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """All matrices of one shape at once."""
    places: defaultdict[torch.Size, list[int]] = defaultdict(list)
    for place, matrix in enumerate(matrices):
        places[matrix.shape].append(place)
    done: dict[int, Tensor] = {}
    for same in places.values():
        done |= dict(zip(same, orthogonal(torch.stack([matrices[place] for place in same])), strict=True))
    return [done[place] for place in range(len(matrices))]


def _look_ahead(gradients: list[Tensor], momenta: list[Tensor], scale: Tensor, skipped: Tensor) -> list[Tensor]:
    """Advance the momenta in place; what Nesterov sees one step ahead, in bf16."""
    ahead = []
    for gradient, momentum in zip(gradients, momenta, strict=True):
        scaled = torch.where(skipped > 0, 0.0, gradient / scale)
        advanced = momentum.lerp(scaled, 1 - MOMENTUM)
        momentum.copy_(torch.where(skipped > 0, momentum, advanced))
        ahead.append(scaled.lerp(advanced, MOMENTUM).bfloat16())
    return ahead


def _apply(weights: list[Tensor], updates: list[Tensor], sizes: list[float], rate: Tensor, decay: float) -> None:
    for weight, update, size in zip(weights, updates, sizes, strict=True):
        weight.copy_(weight * (1 - rate * decay) - update * (rate * size))


def _local(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [tensor.to_local() if isinstance(tensor, DTensor) else tensor for tensor in tensors]


def _whole(part: Tensor, weight: Tensor) -> Tensor:
    """The whole matrix behind this process's part of it."""
    if not isinstance(weight, DTensor):
        return part
    shape, stride = weight.shape, weight.stride()
    return DTensor.from_local(part, weight.device_mesh, weight.placements, shape=shape, stride=stride).full_tensor()


def _part(whole: Tensor, weight: Tensor) -> Tensor:
    """This process's part of a matrix that all processes hold."""
    if not isinstance(weight, DTensor):
        return whole
    return distribute_tensor(whole, weight.device_mesh, weight.placements, src_data_rank=None).to_local()
