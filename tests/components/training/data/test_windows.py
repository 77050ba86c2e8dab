"""The windows over the shards."""

import json
from pathlib import Path

import numpy as np
import pytest

from components.core.errors import BadData
from components.training.data.windows import Windows


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
