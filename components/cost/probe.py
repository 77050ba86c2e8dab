"""How fast this machine computes the operations of a training run, measured in less than a second.

A step consists of matrix products, and elementwise operations between them. On a processor one thread is timed by its
own clock, which stops while others have the core, and scaled by the number of threads: servers start during the probe.
"""

import time
from collections.abc import Callable
from functools import cache

import torch

from components.cost.sizes import Size
from components.training.engine import hardware

ROWS = 512  # of a product: as fast as the thousands of a step, and done in milliseconds
NUMBERS = 1 << 18  # of an elementwise operation: 1 MB
LARGER_ON_GPU = 64  # times as many rows and numbers, or the GPU would idle
LOOK = 0.05  # seconds for each kind of work, by the clock of the thread

# How often a step passes over each number that its matrices read or write, in calls of a sigmoid: forward,
# gradient, norms, rotary positions, attention and the loss.
# docs/decisions.md, "How long a run will take: a probe, not a share of the peak"
PASSES = 6.0
PASSES_UNCOMPILED = 2.7 * PASSES
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
    """Seconds for the matrix products of the optimizer, over all steps."""
    return size.steps * size.optimizer_flops / _products(size)


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
    return len(products) * 2 * rows * width * inner / sum(_quickest(product, device) for product in products)


@cache
def _seconds_per_number() -> float:
    """Seconds per number of an elementwise operation."""
    device = hardware.device()
    numbers = torch.ones(NUMBERS if device.type == "cpu" else LARGER_ON_GPU * NUMBERS, device=device)
    out = torch.empty_like(numbers)
    return _quickest(lambda: torch.sigmoid(numbers, out=out), device) / len(numbers)


def _quickest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest call within the time limit, on all threads; there are at least three calls."""
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
    return min(times) / (threads if device.type == "cpu" else 1)
