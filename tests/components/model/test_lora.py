"""LoRA: nothing changes at the start, only adapters are trained, and merged they compute the same."""

from dataclasses import replace

import pytest
import torch

from components.core.errors import BadSettings
from components.model import lora
from components.model.lora import AdaptedLinear
from components.model.transformer import Transformer
from tests.components.support import shapes
from tests.components.support.adapted import SETTINGS, randomize


def loss(model: Transformer) -> torch.Tensor:
    """With rows of two documents, and for an encoder-decoder a source."""
    batch, segments = shapes.tokens(), torch.arange(shapes.LENGTH)[None].expand(2, -1) // 20
    source = (shapes.tokens(seed=2), segments) if model.encoder and model.decoder else (None, None)
    return model.loss(batch, batch % 2 if model.config.labels else batch, segments, *source, z_loss=1e-3)


@pytest.mark.parametrize("shape", shapes.ALL)
def test_training_starts_at_the_base_and_a_merge_changes_nothing(shape: str) -> None:
    model = shapes.model(shapes.config(**shapes.ALL[shape]))
    with torch.no_grad():
        before = loss(model)
        lora.attach(model, SETTINGS, seed=1)
        assert torch.equal(loss(model), before)
        randomize(model)
        adapted = loss(model)
        assert not torch.allclose(adapted, before, rtol=1e-3)
        lora.merge(model)
        torch.testing.assert_close(loss(model), adapted, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(module, AdaptedLinear) for module in model.modules())


@pytest.mark.parametrize("shape", shapes.ALL)
def test_only_adapters_have_gradients(shape: str) -> None:
    model = shapes.model(shapes.config(**shapes.ALL[shape]))
    lora.attach(model, SETTINGS, seed=1)
    randomize(model)
    loss(model).backward()
    with_gradient = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert with_gradient == {name for name, _ in model.named_parameters() if ".adapters." in name}
    assert all(weight.grad.any() for weight in model.parameters() if weight.grad is not None)


def test_gradients_are_those_of_the_product() -> None:
    model = shapes.model(shapes.config(**shapes.DECODER))
    whole = shapes.model(shapes.config(**shapes.DECODER))
    loss(whole).backward()
    lora.attach(model, replace(SETTINGS, targets=("v_proj",)), seed=1)
    loss(model).backward()
    layer = model.get_submodule("decoder.blocks.1.attention.qkv")
    assert isinstance(layer, AdaptedLinear)
    adapter, of_matrix = layer.adapters["v_proj"], whole.get_parameter("decoder.blocks.1.attention.qkv.weight").grad
    assert of_matrix is not None
    torch.testing.assert_close(adapter.lora_B.grad, 4 * of_matrix[-32:] @ adapter.lora_A.T, rtol=1e-3, atol=1e-4)


def test_the_head_for_labels_is_trained_too() -> None:
    model = shapes.model(replace(shapes.config(**shapes.ENCODER), labels=("O", "ANSWER")))
    lora.attach(model, SETTINGS, seed=1)
    loss(model).backward()
    assert model.head.weight.grad is not None
    assert model.embedding.weight.grad is None


def test_targets_have_the_names_of_transformers() -> None:
    found = {shape: lora.targets(Transformer(shapes.config(**changes))) for shape, changes in shapes.ALL.items()}
    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    assert found == {
        "decoder": names,
        "ngrams": names,
        "encoder": names,
        "encoder_decoder": names,
        "original": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
    }


def test_a_rank_above_a_dimension_is_refused() -> None:
    model = shapes.model(shapes.config(**shapes.DECODER))
    with pytest.raises(BadSettings, match=r"lora\.rank is 33, but k_proj is a matrix of 32 x 64: take at most 32"):
        lora.attach(model, replace(SETTINGS, rank=33, targets=("q_proj", "k_proj")), seed=1)


def test_what_is_frozen_costs_no_gradient() -> None:
    model = shapes.model(shapes.config(**shapes.DECODER))
    whole = model.flops_per_token(shapes.LENGTH)
    lora.attach(model, replace(SETTINGS, rank=1), seed=1)
    assert whole * 0.6 < model.flops_per_token(shapes.LENGTH) < whole * 0.8
