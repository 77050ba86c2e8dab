"""An id leads to its numbers, a beginning of it too, and one that nobody has to none."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from components.core import id_index
from components.core.errors import BadSettings

IDS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(500)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Each id twice, as the numbers n and n + 500."""
    id_index.write(tmp_path / "lookup.npy", [*IDS, *IDS], np.arange(1000))
    return tmp_path / "lookup.npy"


def test_every_id_is_found(path: Path) -> None:
    for number, identity in enumerate(IDS):
        assert id_index.find(path, identity).tolist() == [number, number + 500]
    assert id_index.find(path, hashlib.sha256(b"other").hexdigest()).tolist() == []


def test_it_says_which_ids_it_has(path: Path) -> None:
    others = [hashlib.sha256(f"other {number}".encode()).hexdigest() for number in range(500)]
    assert id_index.known(path, [*IDS[:9], *others, IDS[9]]).tolist() == [True] * 9 + [False] * 500 + [True]


def test_a_beginning_will_do_as_long_as_it_is_that_of_one(path: Path) -> None:
    assert id_index.find(path, IDS[7][:10].upper()).tolist() == [7, 507]
    with pytest.raises(BadSettings, match="several ids begin with"):
        id_index.find(path, IDS[7][0])


def test_what_is_no_id_is_told(path: Path) -> None:
    with pytest.raises(BadSettings, match="'recipes' is no id"):
        id_index.find(path, "recipes")


def test_nothing_leads_nowhere(tmp_path: Path) -> None:
    id_index.write(tmp_path / "empty.npy", [], [])
    assert id_index.find(tmp_path / "empty.npy", IDS[0]).tolist() == []
