"""Kept files: found by their key as long as they are as they were written."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from components.core.kept import DAY, KeptFiles, key


def test_keys_tell_parts_apart() -> None:
    assert key("a", "b") != key("ab") != key("a\nb")
    assert key("a", 1) == key("a", 1)


def overwritten(path: Path) -> None:
    path.write_bytes(b"other")


def cut(path: Path) -> None:
    os.truncate(path, 1)


@pytest.mark.parametrize("damage", [overwritten, cut, Path.unlink])
def test_a_damaged_file_is_made_anew(folder: Path, damage: Callable[[Path], None]) -> None:
    KeptFiles(folder).add("k", b"content")
    [path] = folder.iterdir()
    assert KeptFiles(folder).find("k") == path
    damage(path)
    known = KeptFiles(folder)
    assert known.find("k") is None
    assert known.add("k", b"content").read_bytes() == b"content"
    assert KeptFiles(folder).find("k") == path


def test_what_no_run_of_the_last_day_used_is_forgotten(folder: Path) -> None:
    before = KeptFiles(folder)
    for name in ("used", "recent", "old"):
        before.add(name, name.encode())
    for path in folder.iterdir():
        if path.stem != "recent":
            os.utime(path, times=(0, time.time() - 2 * DAY))
    now = KeptFiles(folder)
    assert now.find("used")
    now.forget_others()
    assert sorted(path.stem for path in folder.iterdir()) == ["recent", "used"]
