"""The loss in chunks against the textbook one: the same number and the same gradients, in less memory."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from components.model.loss import IGNORED, cross_entropy, soft_cap

WIDTH, VOCABULARY = 8, 50


def textbook(hidden: Tensor, weight: Tensor, targets: Tensor, *, cap: float | None, z_loss: float) -> Tensor:
    logits = soft_cap(hidden @ weight.mT, cap)
    z = (logits.logsumexp(-1).square() * (targets != IGNORED)).sum()
    return F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum") + z_loss * z


def inputs(positions: int, ignored: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(positions, WIDTH, generator=generator).requires_grad_()
    weight = torch.randn(VOCABULARY, WIDTH, generator=generator).requires_grad_()
    targets = torch.randint(VOCABULARY, (positions,), generator=generator)
    return hidden, weight, targets.where(torch.rand(positions, generator=generator) >= ignored, IGNORED)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(1, 2500),
    st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    st.sampled_from([None, 5.0]),
    st.sampled_from([0.0, 1e-2]),
    st.integers(0, 99),
)
def test_it_is_the_textbook_loss(positions: int, ignored: float, cap: float | None, z_loss: float, seed: int) -> None:
    hidden, weight, targets = inputs(positions, ignored, seed)
    ours = cross_entropy(hidden, weight, targets, cap=cap, z_loss=z_loss, compiled=False)
    theirs = textbook(hidden, weight, targets, cap=cap, z_loss=z_loss)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4)
    for mine, other in zip(*(torch.autograd.grad(loss / 7, (hidden, weight)) for loss in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ignored", [0.0, 0.5])
def test_without_gradients_it_is_the_same_number(ignored: float) -> None:
    hidden, weight, targets = inputs(1500, ignored)
    with_gradients = cross_entropy(hidden, weight, targets, cap=None, z_loss=0.0, compiled=False)
    with torch.inference_mode():
        without = cross_entropy(hidden, weight, targets, cap=None, z_loss=0.0, compiled=False)
    torch.testing.assert_close(with_gradients, without)


def test_under_autocast_only_the_products_are_rounded() -> None:
    hidden, weight, targets = inputs(1500, 0.3)
    exact = torch.autograd.grad(textbook(hidden, weight, targets, cap=None, z_loss=0.0), (hidden, weight))
    with torch.autocast("cpu", torch.bfloat16):
        loss = cross_entropy(hidden, weight, targets, cap=None, z_loss=0.0, compiled=False)
    rounded = torch.autograd.grad(loss, (hidden, weight))
    assert loss.dtype == torch.float32
    assert all(gradient.dtype == torch.float32 for gradient in rounded)
    assert all((one - other).norm() < 0.01 * other.norm() for one, other in zip(rounded, exact, strict=True))


def test_the_weight_of_a_tied_head_gets_both_gradients() -> None:
    _, table, targets = inputs(64, 0.0)
    tokens = torch.arange(64) % VOCABULARY
    ours = torch.autograd.grad(
        cross_entropy(table[tokens], table, targets, cap=None, z_loss=0.0, compiled=False), table
    )
    theirs = torch.autograd.grad(textbook(table[tokens], table, targets, cap=None, z_loss=0.0), table)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_its_memory_does_not_grow_with_positions_times_vocabulary() -> None:
    positions, vocabulary = 8192, 4096
    hidden = torch.randn(positions, WIDTH, requires_grad=True)
    weight = torch.randn(vocabulary, WIDTH, requires_grad=True)
    targets = torch.zeros(positions, dtype=torch.int64)
    with torch.profiler.profile(profile_memory=True) as profile:
        cross_entropy(hidden, weight, targets, cap=None, z_loss=0.0, compiled=False).backward()
    largest = max(event.cpu_memory_usage for event in profile.events())
    assert largest < positions * vocabulary * 4 / 7  # a chunk of logits is an eighth
