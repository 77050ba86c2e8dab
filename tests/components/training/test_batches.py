"""The shuffle that is computed, not stored, and the windows over the shards."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.training.batches import Windows, order


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


def test_windows_cover_the_shards_and_targets_are_the_next_tokens(shards: list[Path]) -> None:
    windows = Windows(shards, np.uint16, length=6, end_of_text=3)
    assert len(windows) == 4 + 5
    batch = windows.take(np.arange(9))
    assert batch.tokens_BT[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert batch.tokens_BT[4].tolist() == [100, 101, 102, 103, 104, 105]
    assert (batch.targets_BT == batch.tokens_BT + 1).all()


def test_a_batch_is_a_function_of_seed_and_step(shards: list[Path]) -> None:
    windows = Windows(shards, np.uint16, length=6, end_of_text=3)
    assert windows.batch(7, 2, 1).tokens_BT.equal(windows.batch(7, 2, 1).tokens_BT)
    seen = np.concatenate([windows.batch(step, 3, 1).tokens_BT[:, 0].numpy() for step in range(3)])
    assert len(set(seen)) == 9


def test_a_batch_splits_into_its_rows(shards: list[Path]) -> None:
    batch = Windows(shards, np.uint16, length=6, end_of_text=3).take(np.arange(5))
    parts = batch.split(2)
    assert [len(part.tokens_BT) for part in parts] == [2, 2, 1]
    assert parts[2].targets_BT[0].equal(batch.targets_BT[4])


def test_a_document_is_a_segment(shards: list[Path]) -> None:
    windows = Windows(shards, np.uint16, length=6, end_of_text=3)
    assert windows.take(np.array([0, 1])).segments_BT.tolist() == [[0, 0, 0, 1, 1, 1], [0] * 6]
