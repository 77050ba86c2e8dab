"""The population stability index, and profiles that grow with their files."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.core import params
from components.data import drift
from components.data.sources.digests import digests
from components.data.sources.files import FilesSource

counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10**9), min_size=1)


@given(counts, counts, st.integers(1, 1000))
def test_the_index_is_a_distance_between_shares(one: dict[str, int], other: dict[str, int], times: int) -> None:
    assert drift.index(one, one) == 0
    assert drift.index(one, other) >= 0
    assert drift.index(one, other) == pytest.approx(drift.index(other, one))
    more = {bucket: count * times for bucket, count in other.items()}
    assert drift.index(one, more) == pytest.approx(drift.index(one, other), abs=1e-9)


@given(counts)
def test_the_index_grows_with_the_shift(before: dict[str, int]) -> None:
    assume(len(before) > 1)
    first = min(before, key=lambda bucket: before[bucket])
    total = sum(before.values())
    moved = [before | {first: before[first] + total * part} for part in (0, 1, 3, 9)]
    figures = [drift.index(before, now) for now in moved]
    assert figures == sorted(figures)


def test_the_index_of_known_shares() -> None:
    expected = 0.2 * math.log(0.7 / 0.5) - 0.2 * math.log(0.3 / 0.5)
    assert drift.index({"en": 50, "zh": 50}, {"en": 70, "zh": 30}) == pytest.approx(expected)
    assert drift.index({}, {"en": 1}) == 0


def source(folder: Path) -> FilesSource:
    return params.parse(
        {
            "name": "notes",
            "kind": "files",
            "license": "MIT",
            "languages": ["en", "zh"],
            "yields": ["documents"],
            "files": [{"path": f"{folder}/*.jsonl"}],
            "documents": {"text": "text", "language": "lang"},
        },
        FilesSource,
        "notes",
    )


def add(path: Path, *rows: tuple[str, str | None]) -> None:
    path.write_text("".join(json.dumps({"text": text, "lang": language}) + "\n" for text, language in rows))


def profile(notes: FilesSource) -> drift.Profile:
    return drift.profile([notes], {"notes": digests(notes.local_files())})


def test_a_profile_counts_bytes_and_grows_with_what_arrives(folder: Path) -> None:
    notes = source(folder)
    add(folder / "a.jsonl", ("x" * 10, "en"), ("河流" * 20, "zh"))
    first = profile(notes)
    assert first == {
        "source": {"notes": 130},
        "language": {"en": 10, "zh": 120},
        "length": {"below 256": 120, "below 64": 10},
    }
    add(folder / "b.jsonl", ("The river crosses the old town in the north.", None))
    grown = profile(notes)
    assert grown["language"] == {"en": 54, "zh": 120}
    (kept,) = drift.KEPT.iterdir()
    kept.unlink()
    assert profile(notes) == grown, "piece by piece it is the same as at once"
    add(folder / "b.jsonl", ("y" * 300, "zh"))
    assert profile(notes)["length"] == {"below 1024": 300, "below 256": 120, "below 64": 10}
    (folder / "b.jsonl").unlink()
    assert profile(notes) == first


def test_the_figure_is_the_largest_and_says_of_what(folder: Path) -> None:
    notes = source(folder)
    add(folder / "a.jsonl", ("x" * 100, "en"), ("y" * 100, "zh"))
    before = profile(notes)
    assert drift.figure(before, before)[0] == 0
    add(folder / "b.jsonl", ("y" * 300, "zh"), ("y" * 100, "zh"))
    figure, dimension = drift.figure(before, profile(notes))
    assert dimension == "length"
    assert figure == drift.index(before["length"], profile(notes)["length"])
