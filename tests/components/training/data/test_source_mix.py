"""The plan of a mixture of sources, and the rows that follow from it."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from components.core.errors import BadSettings
from components.training.data import source_mix
from components.training.settings import LastPhase, Mixture

SIZES = {"books": 40, "code": 10, "news": 50}
LANGUAGES = {"books": "en", "code": "en", "news": "zh"}


def mixture(
    weights: dict[str, float] | None = None,
    epochs: dict[str, float] | None = None,
    temperature: float = 1.0,
    last: LastPhase | None = None,
) -> Mixture:
    return Mixture(weights=weights or {}, epochs=epochs or {}, language_temperature=temperature, last_phase=last)


def planned(settings: Mixture, rows: int) -> list[dict[str, int]]:
    return [dict(phase.windows) for phase in source_mix.plan(settings, SIZES, LANGUAGES, rows)]


def test_without_settings_each_document_is_read_equally_often() -> None:
    assert planned(mixture(), 200) == [{"books": 80, "code": 20, "news": 100}]


def test_weights_are_relative_and_epochs_exact() -> None:
    assert planned(mixture({"news": 0.5, "code": 0}), 130) == [{"books": 80, "news": 50}]
    assert planned(mixture(epochs={"code": 3}), 120) == [{"books": 40, "code": 30, "news": 50}]


def test_the_temperature_brings_languages_together() -> None:
    [halves] = planned(mixture({"books": 4.8}, temperature=2), 600)  # 202 parts of English to 50 of Chinese
    assert halves["news"] / 600 == pytest.approx(50**0.5 / (50**0.5 + 202**0.5), abs=0.01)
    assert halves["books"] / halves["code"] == pytest.approx(19.2, rel=0.05)


def test_the_last_phase_reads_its_sources_alone_and_epochs_count_it() -> None:
    last = LastPhase(share=0.25, weights={"code": 1})
    assert planned(mixture(epochs={"code": 6}, last=last), 160) == [
        {"books": 44, "code": 20, "news": 56},
        {"books": 0, "code": 40, "news": 0},
    ]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (mixture({"book": 1}), r"mixture\.weights: no documents of book to train on, but of books, code, news"),
        (mixture(epochs={"books": 9}), r"epochs: they need 360 rows, and the run has 100"),
        (mixture({"books": 0, "news": 0}, {"code": 1}), r"90 rows are left, and no source for them"),
        (
            mixture(epochs={"code": 1}, last=LastPhase(share=0.5, weights={"code": 1})),
            r"epochs\.code: the last phase reads more of it",
        ),
    ],
)
def test_what_cannot_be_is_refused(settings: Mixture, line: str) -> None:
    with pytest.raises(BadSettings, match=line):
        source_mix.plan(settings, SIZES, LANGUAGES, 100)


SHARES = st.floats(0, 5)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.lists(SHARES, min_size=4, max_size=4),
    st.floats(1, 5),
    st.floats(0.05, 0.9) | st.none(),
    st.integers(1, 120),
    st.integers(0, 20),
)
def test_a_phase_reads_what_is_planned_in_even_epochs_and_windows_find_their_places(
    counts: list[int], weights: list[float], temperature: float, last: float | None, rows: int, beyond: int
) -> None:
    sizes = {f"s{number}": count for number, count in enumerate(counts)}
    named = dict(zip(sizes, weights, strict=False))
    assume(any(named.values()))
    phase = None if last is None else LastPhase(share=last, weights={"s0": 1.0})
    languages = {name: "ab"[number % 2] for number, name in enumerate(sizes)}
    phases = source_mix.plan(mixture(named, {}, temperature, phase), sizes, languages, rows)
    assert sum(one.rows for one in phases) == rows

    read = source_mix.rows_at(np.arange(rows), phases, sizes, seed=7)
    assert Counter(name for name, _ in read) == Counter(
        {name: number for name in sizes if (number := sum(dict(one.windows).get(name, 0) for one in phases))}
    )
    for name, size in sizes.items():
        often = Counter(window for source, window in read if source == name)
        visits = [often[window] for window in range(size)]
        assert max(visits) - min(visits) <= 1, "no window is read twice more often than another"

    read = source_mix.rows_at(np.arange(rows + beyond), phases, sizes, seed=7)  # a rollback passes over rows
    for name, size in sizes.items():
        for window in range(size):
            found = source_mix.places_of(name, np.array([window]), phases, sizes, 7, rows + beyond)
            assert sorted(found.tolist()) == [place for place, row in enumerate(read) if row == (name, window)]
