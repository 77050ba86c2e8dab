"""The windows over the shards, and the shuffle that is computed, not stored, and can be followed backwards."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import BadData
from components.training.data.windows import Windows, kind, order, places, slot_of, turn


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


@given(st.integers(1, 10**9), st.integers(0, 9), st.integers(0, 3), st.data())
def test_the_inverse_of_the_order_leads_back(size: int, seed: int, epoch: int, data: st.DataObject) -> None:
    within = st.integers(epoch * size, (epoch + 1) * size - 1)
    indices = np.array(data.draw(st.lists(within, min_size=1, max_size=20)))
    assert places(order(indices, size, seed), epoch + 1, size, seed)[epoch].tolist() == indices.tolist()


SHARES = st.lists(st.floats(0, 4), min_size=1, max_size=4).filter(lambda shares: sum(shares) > 0.1)


@given(SHARES, st.integers(1, 60))
def test_the_turn_of_a_slot_counts_those_of_its_kind_before_it(shares: list[float], slots: int) -> None:
    kinds = [kind(slot, shares) for slot in range(slots)]
    assert [turn(slot, shares) for slot in range(slots)] == [kinds[:slot].count(kinds[slot]) for slot in range(slots)]


@given(SHARES, st.integers(0, 10**12))
def test_a_turn_leads_back_to_its_slot(shares: list[float], slot: int) -> None:
    assert slot_of(turn(slot, shares), kind(slot, shares), shares) == slot


@given(st.integers(0, 10**12), st.floats(0.01, 0.99))
def test_the_turns_of_all_kinds_fill_the_slots(slot: int, share: float) -> None:
    shares = [share, 1 - share]
    here, mine = kind(slot, shares), turn(slot, shares)
    following = next(later for later in range(slot + 1, slot + 10_000) if kind(later, shares) == here)
    assert turn(following, shares) == mine + 1
    assert abs(mine - slot * shares[here]) < 50  # evenly spread, however far
