"""The probe of this machine: no clock is asserted on, but what follows from it."""

from dataclasses import replace

import pytest
import torch

from components.cost import probe, sizes
from tests.components.support import shapes
from tests.components.support import sizes as toys


@pytest.fixture(scope="module")
def size() -> sizes.Size:
    counted = sizes.training(toys.optimization(), shapes.config(), shapes.LENGTH, 0)
    return replace(counted, compiled=True, dtype=torch.float32)


def test_twice_the_steps_take_twice_the_time(size: sizes.Size) -> None:
    once = probe.training(size)
    assert 0 < once < 60
    assert probe.training(replace(size, steps=2 * size.steps)) == pytest.approx(2 * once)


def test_what_makes_a_training_slower(size: sizes.Size) -> None:
    assert probe.training(replace(size, compiled=False)) > probe.training(size)
    assert probe.training(replace(size, optimizer_flops=size.optimizer_flops + 10**9)) > probe.training(size)


def test_reading_is_quicker_than_learning(size: sizes.Size) -> None:
    assert probe.reading(size, size.steps * size.tokens) < probe.training(replace(size, compiled=False))
