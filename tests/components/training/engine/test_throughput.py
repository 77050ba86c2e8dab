"""What a training says of its speed."""

import time
from itertools import pairwise

import numpy as np
import pytest
import torch

from components.training import initialization
from components.training.data.batches import Share
from components.training.engine.throughput import ThroughputMeter
from tests.components.support import toy
from tests.components.support.sizes import pretrain


@pytest.fixture
def meter() -> ThroughputMeter:
    return ThroughputMeter(initialization.random(pretrain(), toy.VOCABULARY), torch.device("cpu"), torch.float32)


@pytest.fixture
def share() -> Share:
    """Four rows of 16 tokens."""
    return Share([toy.rows(np.arange(4))], torch.tensor(64.0))


def test_it_counts_from_one_look_to_the_next(meter: ThroughputMeter, share: Share) -> None:
    for count in (3, 1):
        began = time.perf_counter()
        for _ in range(count):
            meter.add(share)
        time.sleep(0.01)
        least = time.perf_counter() - began
        figures = meter.measure(loss=1.0, rate=1e-3)
        assert 0 < figures["tokens_per_second"] <= count * 64 / least


def test_the_share_of_the_peak_is_that_of_the_operations(meter: ThroughputMeter, share: Share) -> None:
    """The peak may rise with each look at it, and never falls."""
    peaks = []
    flops = initialization.random(pretrain(), toy.VOCABULARY).flops_per_token(16)
    for _ in range(3):
        meter.begin()
        meter.add(share)
        figures = meter.measure(loss=1.0, rate=1e-3)
        peaks.append(flops * figures["tokens_per_second"] / figures["share_of_peak"])
    for before, after in pairwise(peaks):
        assert after >= before * (1 - 1e-12)  # a quotient of quotients, each of them rounded
    assert 1e9 < peaks[-1] < 1e16  # operations a second


def test_a_look_at_the_peak_leaves_chance_alone(meter: ThroughputMeter) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    meter.begin()
    assert torch.equal(torch.rand(3), expected)
