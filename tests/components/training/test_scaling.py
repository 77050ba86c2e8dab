"""What follows from the size of a model, and that each of it can be set by hand."""

import pytest

from components.training.initialization import random
from components.training.scaling import resolve
from components.training.settings import PartialOptimization
from tests.components.support import shapes
from tests.components.support.sizes import OPTIMIZATION, pretrain

OPEN = {name: value for name, value in OPTIMIZATION.items() if name not in ("steps", "batch_size", "learning_rate")}


def dialled(width: int, **chosen: float) -> tuple[int, int, float]:
    model = shapes.model(shapes.config(hidden_size=width))
    settings = resolve(PartialOptimization(**OPEN | chosen), model, length=32)  # type: ignore[arg-type]
    return settings.steps, settings.batch_size, settings.learning_rate


def test_larger_models_learn_longer_in_larger_batches_and_more_slowly() -> None:
    small, large = dialled(64), dialled(256)
    tokens = [steps * batch * 32 for steps, batch, _ in (small, large)]
    assert tokens[1] > 4 * tokens[0]
    assert large[1] > small[1]
    assert large[2] == pytest.approx(small[2] / 4)


def test_what_is_set_by_hand_stays() -> None:
    steps, batch_size, rate = dialled(64, steps=7, learning_rate=0.5)
    assert (steps, rate) == (7, 0.5)
    assert dialled(64, batch_size=6)[1] == 6
    tokens = dialled(64)[0] * dialled(64)[1]
    assert dialled(64, batch_size=batch_size * 2)[0] == pytest.approx(tokens / (batch_size * 2), abs=1)


def test_a_batch_is_a_whole_number_of_micro_batches() -> None:
    model = random(pretrain(), vocab_size=50)
    settings = resolve(PartialOptimization(**OPEN | {"micro_batch_size": 64}), model, length=16)  # type: ignore[arg-type]
    assert settings.batch_size % 64 == 0
