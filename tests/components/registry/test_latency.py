"""What two models cost side by side: no clock is asserted on, as it is the machine's."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from components.model import hf
from components.model.folder import weight_files
from components.registry import latency
from tests.components.support import shapes


@pytest.mark.parametrize("kind", ["decoder", "labels", "original", "adapter"])
def test_a_model_beside_itself(tiny_models: dict[str, Path], kind: str) -> None:
    found = latency.measure(tiny_models[kind], tiny_models[kind], confidence=0.95)
    assert found.slowdown is not None
    assert 0 < found.slowdown.low <= found.slowdown.value <= found.slowdown.high < math.inf
    assert found.challenger_ms > 0
    weights = sum(file.stat().st_size for file in weight_files(tiny_models[kind]))
    assert found.challenger_bytes == found.champion_bytes == weights > 100_000


def test_the_prompt_shrinks_with_the_window(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    narrow = replace(hf.load(tiny_models["decoder"]).config, max_sequence_length=18)
    hf.save(shapes.model(narrow), tmp_path)
    assert latency.measure(tmp_path, tiny_models["decoder"], confidence=0.95).slowdown is not None


def test_one_that_writes_and_one_that_labels_do_not_compare(tiny_models: dict[str, Path]) -> None:
    assert latency.measure(tiny_models["decoder"], tiny_models["labels"], confidence=0.95).slowdown is None
