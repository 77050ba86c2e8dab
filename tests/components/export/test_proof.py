"""A reader that makes something else of an export is found out."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import BadData
from components.export import material, proof
from components.export.readers import Ours
from components.tokenizer.tokenizer import Message, Tokenizer


@pytest.fixture(scope="module")
def few(tiny_package: Path, tiny_data: Path) -> material.Material:
    return material.collect(tiny_data, Tokenizer.load(tiny_package), 100, 32)


class Reading(Ours):
    """The package, read with a fault."""

    def __init__(self, package: Path, *, bias: float = 0.0, lowers: bool = False, chat: bool = True) -> None:
        super().__init__(package)
        self.bias, self.lowers, self.keeps = bias, lowers, chat

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        return super().ids([text.lower() if self.lowers else text for text in texts])

    def chat(self, messages: Sequence[Message]) -> list[int]:
        return super().chat(messages if self.keeps else messages[-1:])

    def logits(self, row: Sequence[int]) -> np.ndarray:
        return super().logits(row) + self.bias * np.linspace(-1, 1, 280, dtype=np.float32)

    def answers(self, prompts: Sequence[Sequence[int]], length: int, stop: Collection[int]) -> list[list[int]]:
        found = super().answers(prompts, length, stop)
        return found if self.bias < 1 else [answer[:-1] for answer in found]


def test_the_same_is_proved(tiny_package: Path, few: material.Material) -> None:
    found = proof.compare(Ours(tiny_package), Reading(tiny_package), few)
    proof.check(found, "it", proof.EXACT)
    assert (found.largest_difference, found.change) == (0, 0)
    assert sum(count.compared for count in found.texts.values()) == 100
    assert found.answers.equal == found.answers.compared == len(few.prompts)
    assert found.to_json()["perplexity_change"] == 0


@pytest.mark.parametrize(
    ("fault", "most", "reason"),
    [
        ({"lowers": True}, None, "it has other token ids in .* of .* documents"),
        ({"chat": False}, None, "other token ids in .* conversations"),
        ({"bias": 0.5}, proof.HALF, "it changes the perplexity by"),
        ({"bias": 1.0}, 1.0, None),
        ({"bias": 1.0}, None, None),
    ],
)
def test_a_fault_is_found(
    fault: dict[str, float], most: float | None, reason: str | None, tiny_package: Path, few: material.Material
) -> None:
    found = proof.compare(Ours(tiny_package), Reading(tiny_package, **fault), few)  # type: ignore[arg-type]
    if reason is None:
        proof.check(found, "it", most)
        assert found.answers.equal < found.answers.compared
    else:
        with pytest.raises(BadData, match=reason):
            proof.check(found, "it", most)
