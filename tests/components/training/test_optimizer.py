"""The learning rate of a step, and what decays."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.training.optimizer import adamw, learning_rate
from tests.components.training.sizes import optimization


@given(st.integers(1, 300), st.integers(0, 50), st.floats(0, 1), st.sampled_from(["linear", "cosine"]))
def test_the_rate_stays_between_zero_and_its_peak(steps: int, warmup: int, share: float, decay: str) -> None:
    settings = optimization(steps=steps, warmup_steps=warmup, decay_share=share, decay=decay)
    rates = [learning_rate(step, settings) for step in range(steps)]
    assert all(0 < rate <= settings.learning_rate * (1 + 1e-12) for rate in rates)


def test_it_warms_up_stays_and_falls() -> None:
    settings = optimization(steps=100, warmup_steps=9, decay_share=0.2, learning_rate=1.0)
    rates = [learning_rate(step, settings) for step in range(100)]
    assert rates[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert rates[9:80] == [1.0] * 71
    assert rates[80:] == pytest.approx([1 - n / 20 for n in range(20)])


def test_only_matrices_decay() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.RMSNorm(2))
    decays = {tuple(p.shape): group["weight_decay"] for group in adamw(model, optimization()).param_groups
              for p in group["params"]}  # fmt: skip
    assert decays == {(2, 2): 0.1, (2,): 0.0}
