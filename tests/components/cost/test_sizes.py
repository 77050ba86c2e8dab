"""Sizes counted without weights are those of the models and rows that a training makes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from components.core import params
from components.core.errors import BadData
from components.cost import sizes
from components.model import lora
from components.model.transformer import Transformer
from components.training.data.batches import SpanCorruption
from components.training.settings import CorruptedSpans, PinnedModel, Pretrain
from tests.components.support import shapes
from tests.components.support import sizes as toys
from tests.components.support.adapted import SETTINGS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("shape", shapes.ALL)
def test_weights_are_those_of_the_model(shape: str) -> None:
    config = shapes.config(**shapes.ALL[shape])
    counted = sizes.training(toys.optimization(), config, shapes.LENGTH, 0)
    assert counted.weights == sum(weight.numel() for weight in Transformer(config).parameters())
    assert counted.steps * counted.tokens == 12 * 4 * shapes.LENGTH


@pytest.mark.parametrize(("optimizer", "moments"), [("adamw", 2), ("muon", 1)])
def test_adapters_are_counted_with_what_they_save(optimizer: str, moments: int) -> None:
    config, optimization = shapes.config(**shapes.DECODER), toys.optimization(optimizer=optimizer)
    whole = sizes.training(optimization, config, shapes.LENGTH, 0)
    size = sizes.training(optimization, config, shapes.LENGTH, 0, SETTINGS)
    model = Transformer(config)
    lora.attach(model, SETTINGS, seed=0)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert (size.trained, size.weights) == (trained, whole.weights + trained)
    assert size.memory == 4 * (size.weights + (1 + moments) * trained)
    assert whole.trained == whole.weights
    assert whole.memory > 1.9 * size.memory
    assert size.flops_per_token == model.flops_per_token(shapes.LENGTH) < whole.flops_per_token


def test_a_dialled_training_is_counted_too() -> None:
    settings = params.read("pretrain", Pretrain, ROOT / "params.yaml")
    dialled = replace(settings.optimization, steps=None, batch_size=None, learning_rate=None)
    config = settings.model.build(4096, settings.sequence_length)
    counted = sizes.training(dialled, config, settings.sequence_length, 0)
    assert counted.steps * counted.tokens == pytest.approx(12 * counted.weights, rel=0.3)


def test_spans_make_rows_of_other_lengths() -> None:
    spans = CorruptedSpans(rate=0.15, mean_span=3.0)
    settings = replace(
        toys.pretrain(),
        model=shapes.settings(**shapes.ENCODER_DECODER),
        objective="span_corruption",
        span_corruption=spans,
        sequence_length=64,
    )
    rows = SpanCorruption(0, range(90, 97), spans.rate, spans.mean_span)(np.ones((1, 65), int), np.arange(1), 0)
    assert sizes.row_lengths(settings) == (rows.tokens_BT.shape[1], rows.source_BS.shape[1])


def test_a_model_to_start_from_gives_the_sizes(tmp_path: Path) -> None:
    settings = replace(toys.pretrain(), start=PinnedModel(folder=str(tmp_path), sha256="0" * 64))
    with pytest.raises(BadData, match=r"holds no config\.json"):
        sizes.base(settings, 97)
    config = shapes.config()
    (tmp_path / "config.json").write_text(json.dumps(sizes.hf.write_config(config)))
    assert sizes.base(settings, 97) == replace(config, max_sequence_length=settings.sequence_length)


@pytest.mark.parametrize(("precision", "large", "small"), [("bf16", 6, 3), ("fp32", 2, 9)])
def test_what_muon_adds_to_a_step(precision: str, large: int, small: int) -> None:
    content = params.load(ROOT / "params.yaml")
    content["pretrain"]["optimization"]["precision"] = precision
    found = sizes.of_settings(content)
    assert list(found) == ["pretrain", "finetune@assistant"]
    size = found["pretrain"]
    # Of 4 layers, each 64 wide: 8 for q, k, v, 4 for the output.
    heads = 4 * 12 * 2 * (large * 64**2 * 256 + small * 64**3)
    mlps = 4 * 2 * (large * 256**2 * (1408 + 704) + 2 * small * 256**3)
    assert size.optimizer_flops == heads + mlps
    assert size.flops == 560 * (2048 * size.flops_per_token + size.optimizer_flops)
    content["pretrain"]["optimization"]["optimizer"] = "adamw"
    assert sizes.of_settings(content)["pretrain"].optimizer_flops == 0


def test_numbers_that_pass_the_matrices() -> None:
    length, config = 8, shapes.config(**shapes.ALL["decoder"])
    matrices = [module for module in Transformer(config).modules() if isinstance(module, nn.Linear)]
    counted = sizes.training(toys.optimization(), config, length, 0)
    assert counted.traffic_per_token == pytest.approx(sum(m.in_features + m.out_features for m in matrices), rel=0.2)
