"""The learning rate of a step, and what decays."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.model.layers import Attention
from components.stages.pretrain import build as build_model
from components.training.engine.optimizer import build, learning_rate
from tests.components.support.sizes import optimization, pretrain


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


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_every_weight_is_trained_once_and_only_matrices_decay(kind: str) -> None:
    settings = pretrain(optimizer=kind)
    model = build_model(settings, vocab_size=50)
    names = {weight: name for name, weight in model.named_parameters()}
    groups = [
        group for optimizer in build(model, settings.optimization, torch.float32) for group in optimizer.param_groups
    ]
    trained = {names[weight]: group["weight_decay"] for group in groups for weight in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(names) == len(trained)
    assert all(decay == (0 if "norm" in name else 0.1) for name, decay in trained.items())


def test_muon_takes_the_matrices_of_the_layers() -> None:
    settings = pretrain(optimizer="muon")
    model = build_model(settings, vocab_size=50)
    muon, _ = build(model, settings.optimization, torch.float32)
    assert {id(weight) for weight in muon.param_groups[0]["params"]} == {
        id(weight) for block in model.blocks() for weight in block.parameters() if weight.ndim == 2
    }


def test_every_head_moves_by_itself() -> None:
    """The gradient of one head, however large, changes nothing for the others."""
    plain, loud = _after_a_step(factor=1.0), _after_a_step(factor=100.0)
    head = plain.head_dim
    assert torch.equal(plain.qkv.weight[head:], loud.qkv.weight[head:])
    assert torch.equal(plain.out.weight[:, head:], loud.out.weight[:, head:])


def _after_a_step(factor: float) -> Attention:
    """The first attention after a step of Muon, the gradient of whose first head was multiplied."""
    settings = pretrain(optimizer="muon")
    model = build_model(settings, vocab_size=50)
    muon, _ = build(model, settings.optimization, torch.float32)
    generator = torch.Generator().manual_seed(1)
    for weight in muon.param_groups[0]["params"]:
        weight.grad = torch.randn(weight.shape, generator=generator)
    attention = next(model.blocks()).attention
    attention.qkv.weight.grad[: attention.head_dim] *= factor
    attention.out.weight.grad[:, : attention.head_dim] *= factor
    muon.step()
    return attention
