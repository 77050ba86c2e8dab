"""The shuffle that is computed, not stored, and the windows over the shards."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.stage import BadData
from components.training.batches import Batch, Windows, order


@given(st.integers(1, 400), st.integers(0, 9), st.integers(0, 3))
def test_each_epoch_visits_every_item_once(size: int, seed: int, epoch: int) -> None:
    places = order(np.arange(epoch * size, (epoch + 1) * size), size, seed)
    assert sorted(places) == list(range(size))


@given(st.integers(2, 1000), st.integers(0, 9), st.lists(st.integers(0, 5000), min_size=1, max_size=20))
def test_a_place_does_not_depend_on_its_neighbours(size: int, seed: int, indices: list[int]) -> None:
    together = order(np.array(indices), size, seed)
    assert together.tolist() == [int(order(np.array([index]), size, seed)[0]) for index in indices]


def test_seeds_and_epochs_shuffle_differently() -> None:
    first = order(np.arange(1000), 1000, 1)
    assert (first != order(np.arange(1000), 1000, 2)).mean() > 0.9
    assert (first != order(np.arange(1000, 2000), 1000, 1)).mean() > 0.9
    assert abs(np.corrcoef(first, np.arange(1000))[0, 1]) < 0.1


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    paths = []
    for number, tokens in enumerate((np.arange(25), np.arange(0), np.arange(100, 131))):
        paths.append(tmp_path / f"{number}.bin")
        tokens.astype(np.uint16).tofile(paths[-1])
    return paths


def test_windows_cover_the_shards_and_share_one_token_with_the_next(shards: list[Path]) -> None:
    windows = Windows(shards, np.uint16, length=6)
    assert len(windows) == 4 + 5
    taken = windows.take(np.arange(9))
    assert taken[0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert taken[4].tolist() == [100, 101, 102, 103, 104, 105, 106]
    assert (np.diff(taken) == 1).all()


def test_a_split_without_a_window_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(np.arange(10, dtype=np.uint16).tobytes())
    manifest = {"bytes_per_token": 2, "shards": [{"file": "a.bin", "split": "train"}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert len(Windows.of_split(tmp_path, "train", 9)) == 1
    with pytest.raises(BadData, match="no 11 tokens in a row"):
        Windows.of_split(tmp_path, "train", 10)


def batch(rows: int) -> Batch:
    ids = torch.arange(rows * 4).view(rows, 4)
    return Batch(ids, ids + 1, None, ids[:, :2])


@given(st.integers(1, 9), st.integers(1, 9))
def test_a_batch_splits_into_its_rows_and_back(rows: int, size: int) -> None:
    parts = batch(rows).split(size)
    assert all(len(part) == size for part in parts[:-1])
    whole = Batch.cat(parts)
    assert whole.targets_BT.equal(batch(rows).targets_BT)
    assert whole.source_BS is not None
    assert whole.source_BS.equal(batch(rows).tokens_BT[:, :2])
    assert whole.segments_BT is None
