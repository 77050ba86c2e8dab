"""The optimizers: Muon for the matrices of blocks, AdamW for everything else, and the learning rate of each step."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from components.model.interface import BlockShape, LanguageModel
from components.training.engine import distributed
from components.training.settings import Optimization

MOMENTUM = 0.95
"""As in Keller Jordan's post, with Nesterov momentum."""

# Odd polynomials a x + b x^3 + c x^5. Applied in turn they map singular values from a hundredth of the largest to
# 1 into 0.71 to 1.29, the best that three can do (Polar Express, https://arxiv.org/abs/2505.16932); fitted to 2% more
# than the range that they get, so that rounding in bf16 does not leave it, and never to less than its 50th.
POLYNOMIALS = (
    (7.5738, -20.8914, 14.7576),
    (3.7331, -2.9046, 0.5937),
    (2.6672, -1.9187, 0.42),
)


class Muon(Optimizer):
    """Momentum with updates of one size in all directions of a matrix, scaled to those of AdamW.

    (https://arxiv.org/abs/2502.16982). Takes matrices, also as FSDP2's shards, with the blocks that each consists of,
    and orthogonalizes them by products of the type `precision`, the one that the hardware multiplies fast.
    Gradients are divided by the tensor `grad_scale`, and where the tensor `found_inf` is 1 nothing changes, as with the
    fused AdamW of PyTorch.
    docs/decisions.md, "Muon of our own"
    """

    def __init__(
        self,
        weights: Mapping[nn.Parameter, BlockShape],
        *,
        lr: float,
        weight_decay: float,
        precision: torch.dtype,
        compiled: bool,
    ) -> None:
        super().__init__(list(weights), {"lr": lr, "weight_decay": weight_decay})
        self._blocks = weights
        self._precision = precision
        self.grad_scale: Tensor | None = None
        self.found_inf: Tensor | None = None
        # One small graph for all matrices: unrolled over them it would take seconds to compile, and more with every
        # layer.
        self._look_ahead = torch.compile(_look_ahead, dynamic=True) if compiled else _look_ahead
        self._apply = torch.compile(_apply, dynamic=True) if compiled else _apply

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002 (all take one)
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            device = weights[0].device
            skipped = torch.zeros((), device=device) if self.found_inf is None else self.found_inf
            scale = torch.ones((), device=device) if self.grad_scale is None else self.grad_scale
            rate = torch.full((), group["lr"], device=device) * (1 - skipped)
            ahead = [
                self._look_ahead(
                    distributed.local_shard(weight.grad),
                    distributed.local_shard(self._momentum(weight)),
                    scale,
                    skipped,
                    self._precision,
                )
                for weight in weights
            ]
            blocks = [self._blocks[weight] for weight in weights]
            whole = [distributed.gather_rows(part, weight) for part, weight in zip(ahead, weights, strict=True)]
            near = _each_orthogonal(whole, blocks)
            kept = 1 - rate * group["weight_decay"]
            for weight, block, update in zip(weights, blocks, near, strict=True):
                self._apply(
                    distributed.local_shard(weight).view(-1),
                    distributed.shard_rows(update, weight).flatten(),
                    kept,
                    rate * (0.2 * max(block) ** 0.5),
                )

    def _momentum(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        momentum: Tensor = state["momentum_buffer"]
        return momentum


def orthogonal(matrices_NRC: Tensor) -> Tensor:
    """For each matrix approximately the nearest one with orthogonal rows or columns, in the type of the matrices."""
    wide = matrices_NRC if matrices_NRC.shape[1] <= matrices_NRC.shape[2] else matrices_NRC.mT
    gram: Tensor = wide @ wide.mT
    # Between the largest singular value and the norm of the matrix, which is far above it where all are similar.
    largest = torch.linalg.vector_norm(gram, dim=(1, 2), keepdim=True, dtype=torch.float64).sqrt().float() + 1e-15
    x, gram = (wide / largest).to(wide.dtype), (gram / largest**2).to(wide.dtype)
    near = _all_at_once(gram) @ x if _few_products(x.dtype) else _one_by_one(x, gram)
    return near if wide is matrices_NRC else near.mT


def _few_products(precision: torch.dtype) -> bool:
    """Whether rounding is precise enough to apply the polynomials to the square X X^T, with fewer products.

    In bf16 its errors grow without bound where one direction outweighs the others.
    docs/decisions.md, "Muon of our own"
    """
    return precision is torch.float32


def _one_by_one(x: Tensor, gram: Tensor) -> Tensor:
    """The polynomials of X, each applied to the result of the one before; `gram` is X X^T."""
    for number, (a, b, c) in enumerate(POLYNOMIALS):
        gram = x @ x.mT if number else gram
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def _all_at_once(gram: Tensor) -> Tensor:
    """The factor that applies all the polynomials in turn when multiplied with X, given X X^T."""
    product = None
    for number, (a, b, c) in enumerate(POLYNOMIALS, 1):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor if product is None else factor @ product
        if number < len(POLYNOMIALS):
            gram = factor @ (gram @ factor)
    assert product is not None
    return product


def flops(matrices: Mapping[nn.Parameter, BlockShape], precision: torch.dtype) -> int:
    """Floating-point operations per step in products of this type, given the matrices with their blocks."""
    total, count = 0, len(POLYNOMIALS)
    for matrix, block in matrices.items():
        shorter, longer = sorted(block)
        large, small = 2 * shorter**2 * longer, 2 * shorter**3
        one = 2 * large + (4 * count - 3) * small if _few_products(precision) else count * (2 * large + small)
        total += matrix.numel() // (shorter * longer) * one
    return total


def _each_orthogonal(matrices: Sequence[Tensor], blocks: Sequence[BlockShape]) -> list[Tensor]:
    """Orthogonalize the matrices, all blocks of one shape at once."""
    places: defaultdict[BlockShape, list[int]] = defaultdict(list)
    for place, block in enumerate(blocks):
        places[block].append(place)
    done: dict[int, Tensor] = {}
    for block, same in places.items():
        cut = [_cut(matrices[place], block) for place in same]
        near = torch.split(orthogonal(torch.cat(cut)), [len(parts) for parts in cut])
        done |= {place: _joined(parts, matrices[place].shape) for place, parts in zip(same, near, strict=True)}
    return [done[place] for place in range(len(matrices))]


def _cut(matrix: Tensor, block: BlockShape) -> Tensor:
    """The blocks of a matrix, [N, rows, columns]."""
    rows, columns = block
    return matrix.view(-1, rows, matrix.shape[1] // columns, columns).transpose(1, 2).reshape(-1, rows, columns)


def _joined(blocks_NRC: Tensor, shape: torch.Size) -> Tensor:
    """The matrix of this shape from its blocks."""
    _, rows, columns = blocks_NRC.shape
    return blocks_NRC.view(-1, shape[1] // columns, rows, columns).transpose(1, 2).reshape(shape)


def _look_ahead(gradient: Tensor, momentum: Tensor, scale: Tensor, skipped: Tensor, precision: torch.dtype) -> Tensor:
    """Update the momentum in place; returns Nesterov's look-ahead in the given precision."""
    scaled = torch.where(skipped > 0, 0.0, gradient / scale)
    advanced = momentum.lerp(scaled, 1 - MOMENTUM)
    momentum.copy_(torch.where(skipped > 0, momentum, advanced))
    return scaled.lerp(advanced, MOMENTUM).to(precision)


def _apply(weight: Tensor, update: Tensor, kept: Tensor, size: Tensor) -> None:
    weight.copy_(weight * kept - update * size)


def build(model: LanguageModel, settings: Optimization, precision: torch.dtype) -> list[Optimizer]:
    """AdamW for all weights, or Muon for the matrices of the layers and AdamW for the rest; compiled like the model.

    Both take the same learning rate. The matrix products of Muon have the type `precision`. Vectors have no weight
    decay. All of them divide the gradients by their attribute `grad_scale`, and skip the step when `found_inf` is 1,
    both tensors (as `torch.amp.GradScaler` sets them).
    """
    vectors, tables, matrices = kinds(model)
    if settings.optimizer == "adamw":
        tables, matrices = [*tables, *matrices], {}
    decaying = {"params": tables, "weight_decay": settings.weight_decay}
    lasting = {"params": vectors, "weight_decay": 0.0}
    adamw = torch.optim.AdamW([decaying, lasting], lr=settings.learning_rate, betas=settings.betas, fused=True)
    if not matrices:
        return [adamw]
    rate, decay = settings.learning_rate, settings.weight_decay
    return [Muon(matrices, lr=rate, weight_decay=decay, precision=precision, compiled=model.compiled), adamw]


def kinds(model: LanguageModel) -> tuple[list[nn.Parameter], list[nn.Parameter], dict[nn.Parameter, BlockShape]]:
    """The trained weights: vectors, tables with a row per token or position, and the matrices of the layers."""
    vectors, tables, matrices = [], [], {}
    blocks = model.matrices()
    for name, weight in trained(model):
        if name in blocks:
            matrices[weight] = blocks[name]
        elif weight.ndim < 2:
            vectors.append(weight)
        else:
            tables.append(weight)
    return vectors, tables, matrices


def trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The weights that are trained, with their names: all but the frozen ones."""
    yield from ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)


def learning_rate(step: int, settings: Optimization) -> float:
    """Linear warm-up, a plateau, then decay towards 0 over the last `decay_share` of the steps."""
    warm = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    decay_steps = max(1, round(settings.decay_share * settings.steps))
    left = min(1.0, (settings.steps - step) / decay_steps)
    fall = left if settings.decay == "linear" else (1 - math.cos(math.pi * left)) / 2
    return settings.learning_rate * warm * fall
