"""Fine-tuning data: shares, packing, and a loss on the answers alone."""

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model.transformer import IGNORED
from components.stage import BadData
from components.training import mixture
from components.training.mixture import PADDING_SEGMENT, Encoded, pack, stack

ids = st.lists(st.integers(0, 99), min_size=1, max_size=7)
examples = st.lists(st.builds(Encoded, ids, ids), min_size=1, max_size=30)


@given(examples)
def test_packing_keeps_every_answer_once_and_in_order(encoded: list[Encoded]) -> None:
    batch = stack(list(pack(iter(encoded), length=16, padding=0)))
    answers = batch.targets_BT[batch.targets_BT != IGNORED].tolist()
    assert answers == [token for example in encoded for token in example.answer]


@given(examples)
def test_a_segment_is_one_example(encoded: list[Encoded]) -> None:
    rows = list(pack(iter(encoded), length=16, padding=0))
    found = []
    for row in rows:
        for segment in sorted(set(row.segments_BT[0].tolist()) - {PADDING_SEGMENT}):
            places = row.segments_BT[0] == segment
            targets = row.targets_BT[0][places]
            kept = targets[targets != IGNORED].tolist()
            inputs = row.tokens_BT[0][places].tolist()
            found.append(Encoded(inputs[: len(inputs) + 1 - len(kept)], kept))
    assert found == encoded


def write(folder: Path, counts: dict[str, int]) -> None:
    rows = [
        {"id": f"{task}{n}", "task": task, "inputs": json.dumps({"text": f"t{n}"}), "target": "x"}
        for task, count in counts.items()
        for n in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-00000.parquet")


def test_tasks_are_mixed_in_their_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"topic": 300, "sentiment_en": 100})
    shares = {"topic": 1.0, "sentiment_en": 3.0}
    mixed = mixture.mix(mixture.load(tmp_path, shares), shares, seed=1)
    assert mixed["task"][:400].count("sentiment_en") == pytest.approx(300, abs=40)
    assert {row["id"] for row in mixed} == {f"topic{n}" for n in range(300)} | {f"sentiment_en{n}" for n in range(100)}
    assert mixed["id"] == mixture.mix(mixture.load(tmp_path, shares), shares, seed=1)["id"]
    assert isinstance(mixed, datasets.Dataset)


def test_a_task_without_examples_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"topic": 3})
    with pytest.raises(BadData, match="no example of the task `sentiment_zh`"):
        mixture.load(tmp_path, {"topic": 1.0, "sentiment_zh": 1.0})
