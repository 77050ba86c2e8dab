"""The optimizers and the learning rate of a step."""

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from components.model.transformer import Transformer
from components.training.engine.muon import Block, Muon
from components.training.settings import Optimization


def build(model: Transformer, settings: Optimization, precision: torch.dtype) -> list[Optimizer]:
    """AdamW for all weights, or Muon for the matrices of the layers and AdamW for the rest; compiled as the model is.

    Both take the same learning rate. The matrix products of Muon have the type `precision`. Weights decay in matrices
    alone. All of them divide the gradients by their attribute `grad_scale`, and skip the step when `found_inf` is 1,
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


def kinds(model: Transformer) -> tuple[list[nn.Parameter], list[nn.Parameter], dict[nn.Parameter, Block]]:
    """The weights of a model: vectors, tables with a row a token or a place, and the matrices of the layers."""
    vectors, tables, matrices = [], [], {}
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            vectors.append(weight)
        elif name.startswith(("encoder.", "decoder.")):
            matrices[weight] = _block(name, weight, model.config.head_dim)
        else:
            tables.append(weight)
    return vectors, tables, matrices


def _block(name: str, weight: Tensor, head_dim: int) -> Block:
    """Every head of an attention is a block: rows of what makes its queries, keys and values, columns of its output."""
    rows, columns = weight.shape
    if "attention." not in name:
        return rows, columns
    return (rows, head_dim) if name.endswith("attention.out.weight") else (head_dim, columns)


def learning_rate(step: int, settings: Optimization) -> float:
    """Linear warm-up, a plateau, then decay towards 0 over the last `decay_share` of the steps."""
    warm = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    decay_steps = max(1, round(settings.decay_share * settings.steps))
    left = min(1.0, (settings.steps - step) / decay_steps)
    fall = left if settings.decay == "linear" else (1 - math.cos(math.pi * left)) / 2
    return settings.learning_rate * warm * fall
