"""How fast this machine computes what a training consists of, from a look of less than a second.

A step is matrix products, and operations on each number between them. On a processor one thread is timed by its own
clock, which stands still while others have the core, and is taken times the threads: servers start during the look.
"""

import time
from collections.abc import Callable
from functools import cache

import torch

from components.cost.sizes import Size
from components.training.engine import hardware

ROWS = 512  # of a product: as fast as the thousands of a step, and done in milliseconds
NUMBERS = 1 << 18  # of an operation on each number: 1 MB
LARGER_ON_GPU = 64  # times as many rows and numbers, or it would idle
LOOK = 0.05  # seconds for each kind of work, by the clock of the thread

# How often a step passes over each number that its matrices take in or give out, in calls of a sigmoid: forward,
# gradient, norms, rotary positions, attention and the loss (docs/decisions.md, "How long a run will take").
PASSES = 6.0
PASSES_UNCOMPILED = 2.7 * PASSES
BESIDE_STEPS = 1.1  # validations and checkpoints


def training(size: Size) -> float:
    """Seconds of a training, its start left out."""
    return BESIDE_STEPS * (size.steps * size.tokens * _token(size, compiled=size.compiled) + _optimizer(size))


def reading(size: Size, tokens: float) -> float:
    """Seconds in which the model of a training reads so many tokens, without learning and without compilation.

    Less than a third of a step, as nothing is kept for a gradient.
    """
    return tokens * _token(size, compiled=False) / 4


def _token(size: Size, *, compiled: bool) -> float:
    """Seconds for a token forward and backward."""
    passes = PASSES if compiled else PASSES_UNCOMPILED
    return size.flops_per_token / _products(size) + size.traffic_per_token * passes * _seconds_per_number()


def _optimizer(size: Size) -> float:
    """Seconds for the products of all steps of the optimizer."""
    return size.steps * size.optimizer_flops / _products(size)


def _products(size: Size) -> float:
    return _products_of(size.config.hidden_size, size.config.intermediate_size, size.dtype)


@cache
def _products_of(width: int, inner: int, dtype: torch.dtype) -> float:
    """Operations a second in the products of an MLP of these widths: forward, and both gradients."""
    device = hardware.device()
    rows = ROWS if device.type == "cpu" else LARGER_ON_GPU * ROWS
    x, weight, gradient = (
        torch.ones(shape, device=device, dtype=dtype) for shape in ((rows, width), (inner, width), (rows, inner))
    )
    products = (lambda: x @ weight.mT, lambda: gradient @ weight, lambda: gradient.mT @ x)
    return len(products) * 2 * rows * width * inner / sum(_quickest(product, device) for product in products)


@cache
def _seconds_per_number() -> float:
    """Seconds for each number that an operation passes over."""
    device = hardware.device()
    numbers = torch.ones(NUMBERS if device.type == "cpu" else LARGER_ON_GPU * NUMBERS, device=device)
    out = torch.empty_like(numbers)
    return _quickest(lambda: torch.sigmoid(numbers, out=out), device) / len(numbers)


def _quickest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the quickest of the calls that fit into the look, on all threads; at least three."""
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
