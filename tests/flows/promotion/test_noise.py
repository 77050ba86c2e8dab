"""How far seeds differ, measured with real trainings of a tiny model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from components.core.errors import BadSettings
from components.registry import spread
from components.registry.spread import NoiseRecord
from components.stages import encode
from components.training.settings import Finetune, MaskedTokens
from flows.promotion import noise
from flows.promotion.noise import Recipe
from tests.components.support import shapes, tiny
from tests.components.support.settings import EVALUATION
from tests.components.support.sizes import optimization, pretrain
from tests.components.support.tiny import TEXTS, write_rows

MASKED = MaskedTokens(rate=0.2, masked=0.8, random=0.1)
RECIPE = Recipe(
    name="assistant",
    pretrain=replace(pretrain(), sequence_length=64),
    finetune=Finetune(
        base="models/pretrained",
        tasks={"topic": 1.0},
        replay=0.5,
        reads="data/tokens",
        max_prompt_tokens=32,
        max_answer_tokens=16,
        validation_rows=2,
        method="full",
        optimization=optimization(),
    ),
    tasks={"topic": tiny.TASKS["topic"]},
    evaluate=EVALUATION,
    steps=4,
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands before the trainings; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    tiny.make_model(Path("models/tokenizer"), seed=0)
    rows = [{"id": f"{n}", "source": "one", "language": "en", "text": TEXTS[n % 3] * 4} for n in range(40)]
    for split in ("train", "validation"):
        write_rows(Path("data/prepared/documents") / split, rows)
    example = {"source": "one", "task": "topic", "inputs": json.dumps({"text": TEXTS[0]}), "target": "Arts"}
    write_rows(Path("data/prepared/examples/train"), [example | {"id": f"{n}"} for n in range(8)])
    YAML().dump({"encode": {"compared_documents": 2, "pairs": False}}, Path("params.yaml"))
    encode.main()
    return tmp_path


def test_seeds_differ_and_a_seed_repeats_itself(data: Path) -> None:
    """Also that a measurement goes on where it stopped, and that it leaves nothing but its record."""
    before = {path for path in data.rglob("*") if ".lmforge" not in path.parts}
    said: list[str] = []
    noise.train_each(RECIPE.train, 2, NoiseRecord(4, {}), "key", said.append)
    record = spread.read("key")
    assert record
    assert list(record.bits_per_byte) == [1, 2]
    assert record.bits_per_byte[1] != record.bits_per_byte[2]
    assert all(1 < bits < 10 for bits in record.bits_per_byte.values())
    assert [line.partition(":")[0] for line in said] == ["seed 1", "seed 2"]
    assert "; 1 to go, about" in said[0]

    noise.train_each(RECIPE.train, 2, NoiseRecord(4, {2: record.bits_per_byte[2]}), "again", said.append)
    again = spread.read("again")
    assert again
    assert again.bits_per_byte[1] == pytest.approx(record.bits_per_byte[1], abs=1e-9)
    assert len(said) == 3  # a single training more
    assert {path for path in data.rglob("*") if ".lmforge" not in path.parts} == before


def test_a_model_that_labels_is_refused_before_anything_starts() -> None:
    assert RECIPE.pretrain
    labels = replace(RECIPE.pretrain, model=shapes.settings(**shapes.ENCODER), objective="masked", masked=MASKED)
    with pytest.raises(BadSettings, match="no bits per byte"):
        replace(RECIPE, pretrain=labels)
