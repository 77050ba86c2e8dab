"""How fast this machine computes the operations of a training run, measured in less than a second.

A step consists of matrix products, elementwise operations between them, and the optimizer's own products. On a
processor one thread is timed by its own clock, which stops while others have the core, and scaled by the number of
threads: servers start during the probe.
"""

import statistics
import time
from collections.abc import Callable
from functools import cache

import torch
from torch import nn

from components.cost.sizes import Size
from components.training.engine import hardware, optimizer

ROWS = 512  # of a product: as fast as the thousands of a step, and done in milliseconds
NUMBERS = 1 << 22  # of an elementwise operation: 16 MB, as between the products of a step, and no cache of a core
LARGER_ON_GPU = 64  # times as many rows, or the GPU would idle, and 4 times as many numbers
LOOK = 0.05  # seconds for each kind of work, by the clock of the thread

# How often a step passes over each number that its matrices read or write, in calls of a sigmoid: forward,
# gradient, norms, rotary positions, attention and the loss.
# docs/decisions.md, "How long a run will take: a probe, not a share of the peak"
PASSES = 9.0
PASSES_UNCOMPILED = 2.7 * PASSES
PASSES_OF_OPTIMIZER = 10.0  # over each trained weight, at every step
MATRICES = 4  # that the optimizer multiplies at once, one of each layer
BESIDE_STEPS = 1.1  # factor for validations and checkpoints


def training(size: Size) -> float:
    """Seconds of a training run, without its start."""
    return BESIDE_STEPS * (size.steps * size.tokens * _token(size, compiled=size.compiled) + _optimizer(size))


def reading(size: Size, tokens: float) -> float:
    """Seconds in which the trained model reads so many tokens, without training and without compilation.

    Less than a third of a step, as nothing is stored for a gradient.
    """
    return tokens * _token(size, compiled=False) / 4


def _token(size: Size, *, compiled: bool) -> float:
    """Seconds per token, forward and backward."""
    passes = PASSES if compiled else PASSES_UNCOMPILED
    return size.flops_per_token / _products(size) + size.traffic_per_token * passes * _seconds_per_number()


def _optimizer(size: Size) -> float:
    """Seconds of the optimizer, over all steps."""
    products = size.optimizer_flops / _orthogonalizing_of(size.config.hidden_size, size.dtype)
    return size.steps * (products + size.trained * PASSES_OF_OPTIMIZER * _seconds_per_number())


def _products(size: Size) -> float:
    return _products_of(size.config.hidden_size, size.config.intermediate_size, size.dtype)


@cache
def _products_of(width: int, inner: int, dtype: torch.dtype) -> float:
    """Operations per second in the products of an MLP of these widths: forward, and both gradients."""
    device = hardware.device()
    rows = ROWS if device.type == "cpu" else LARGER_ON_GPU * ROWS
    x, weight, gradient = (
        torch.ones(shape, device=device, dtype=dtype) for shape in ((rows, width), (inner, width), (rows, inner))
    )
    products = (lambda: x @ weight.mT, lambda: gradient @ weight, lambda: gradient.mT @ x)
    return len(products) * 2 * rows * width * inner / sum(_median(product, device) for product in products)


@cache
def _orthogonalizing_of(width: int, dtype: torch.dtype) -> float:
    """Operations per second in the products of Muon, on square matrices of this width."""
    device = hardware.device()
    matrices = torch.eye(width, device=device, dtype=dtype).repeat(MATRICES, 1, 1)
    weight = nn.Parameter(matrices.flatten(0, 1), requires_grad=False)
    work = optimizer.flops({weight: (width, width)}, dtype)
    return work / _median(lambda: optimizer.orthogonal(matrices), device)


@cache
def _seconds_per_number() -> float:
    """Seconds per number of an elementwise operation."""
    device = hardware.device()
    numbers = torch.ones(NUMBERS if device.type == "cpu" else 4 * NUMBERS, device=device)
    out = torch.empty_like(numbers)
    return _median(lambda: torch.sigmoid(numbers, out=out), device) / len(numbers)


def _median(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the median call within the time limit, on all threads; there are at least three calls."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    times: list[float] = []
    end = clock() + LOOK
    while len(times) < 3 or clock() < end:
        began = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(clock() - began)
    torch.set_num_threads(threads)
    return statistics.median(times) / (threads if device.type == "cpu" else 1)
