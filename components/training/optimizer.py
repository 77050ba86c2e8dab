"""The optimizer and the learning rate of a step."""

import math

import torch
from torch import nn

from components.training.settings import Optimization


def adamw(model: nn.Module, settings: Optimization) -> torch.optim.AdamW:
    """AdamW (https://arxiv.org/abs/1711.05101); weights decay in matrices alone."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, fused=True)


def learning_rate(step: int, settings: Optimization) -> float:
    """Linear warm-up, a plateau, then decay towards 0 over the last `decay_share` of the steps."""
    warm = min(1.0, (step + 1) / (settings.warmup_steps + 1))
    decay_steps = max(1, round(settings.decay_share * settings.steps))
    left = min(1.0, (settings.steps - step) / decay_steps)
    fall = left if settings.decay == "linear" else (1 - math.cos(math.pi * left)) / 2
    return settings.learning_rate * warm * fall
