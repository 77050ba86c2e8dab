"""Sizes counted without weights are those of the models and rows that a training makes."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components import params
from components.cost import count, estimate
from components.model.transformer import Transformer
from components.stage import BadData
from components.training.objectives import SpanCorruption
from components.training.settings import Checkpoint, HiddenSpans, Pretrain
from tests.components.model import shapes
from tests.components.training import sizes

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("shape", shapes.ALL)
def test_weights_are_those_of_the_model(shape: str) -> None:
    config = shapes.config(**shapes.ALL[shape])
    counted = count.training(sizes.optimization(), config, shapes.LENGTH, 0)
    assert counted.weights == sum(weight.numel() for weight in Transformer(config).parameters())
    assert counted.tokens == 12 * 4 * shapes.LENGTH


def test_a_dialled_training_is_counted_too() -> None:
    settings = params.read("pretrain", Pretrain, ROOT / "params.yaml")
    dialled = replace(settings.optimization, steps=None, batch_size=None, learning_rate=None)
    config = settings.model.build(4096, settings.sequence_length)
    counted = count.training(dialled, config, settings.sequence_length, 0)
    assert counted.tokens == pytest.approx(12 * counted.weights, rel=0.3)


def test_spans_make_rows_of_other_lengths() -> None:
    spans = HiddenSpans(rate=0.15, mean_span=3.0)
    settings = replace(
        sizes.pretrain(),
        model=shapes.settings(**shapes.ENCODER_DECODER),
        objective="span_corruption",
        span_corruption=spans,
        sequence_length=64,
    )
    rows = SpanCorruption(0, range(90, 97), spans.rate, spans.mean_span)(np.ones((1, 65), int), np.arange(1), 0)
    assert count.row_lengths(settings) == (rows.tokens_BT.shape[1], rows.source_BS.shape[1])


def test_a_model_to_start_from_gives_the_sizes(tmp_path: Path) -> None:
    settings = replace(sizes.pretrain(), start=Checkpoint(folder=str(tmp_path), sha256="0" * 64))
    with pytest.raises(BadData, match=r"pretrain\.start"):
        count.base(settings, 97)
    config = shapes.config()
    (tmp_path / "config.json").write_text(json.dumps(count.hf.write_config(config)))
    assert count.base(settings, 97) == replace(config, max_sequence_length=settings.sequence_length)


def test_all_trainings_of_the_default_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert estimate.load() is None
    count.main()
    counts = estimate.load()
    assert counts is not None
    assert list(counts.trainings) == ["pretrain", "finetune@assistant"]
    assert counts.peak > 1e9

    text = (tmp_path / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("sequence_length: 256", "sequence_length: 128"))
    assert estimate.load() is None, "counts of other settings"
