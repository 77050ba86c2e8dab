"""Entities as an answer: as the text has them, F1 of an example, and over a corpus as seqeval computes it."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics import f1_score

from components.tasks import entities

ENTITY = st.tuples(st.sampled_from(["PER", "LOC"]), st.sampled_from(["Ann", "Rome", "New York"]))
ANSWER = st.lists(ENTITY, max_size=4).map(lambda found: "\n".join(f"{label}: {words}" for label, words in found) or "-")


@pytest.mark.parametrize(
    ("prediction", "target", "value"),
    [
        ("PER: Ann\nLOC: Rome", "PER: Ann\nLOC: Rome", 1),
        ("LOC: Rome\nPER: Ann", "PER: Ann\nLOC: Rome", 1),  # places are not written, so order does not count
        ("PER: Ann", "PER: Ann\nLOC: Rome", 2 / 3),
        ("LOC: Ann", "PER: Ann", 0),
        ("PER: Ann\nPER: Ann", "PER: Ann", 2 / 3),
        ("-", "-", 1),
        ("PER: Ann", "-", 0),
        ("Ann", "PER: Ann", 0),
    ],
)
def test_f1(prediction: str, target: str, value: float) -> None:
    assert entities.f1(prediction, target) == pytest.approx(value)


@given(st.lists(st.tuples(ANSWER, ANSWER), min_size=1, max_size=8))
def test_the_weighted_mean_over_a_corpus_is_that_of_seqeval(pairs: list[tuple[str, str]]) -> None:
    scores = np.array([entities.f1(*pair) for pair in pairs])
    weights = np.array([entities.count(*pair) for pair in pairs])
    ours = (scores * weights).sum() / weights.sum() if weights.any() else 0.0
    tagged = [tags(*pair) for pair in pairs]
    theirs = f1_score([wanted for _, wanted in tagged], [predicted for predicted, _ in tagged], zero_division=0)
    assert ours == pytest.approx(theirs)


def tags(prediction: str, target: str) -> tuple[list[str], list[str]]:
    """Both answers as tags: a token for each surface as often as it occurs, tagged by either answer."""
    places = sorted({entity for answer in (prediction, target) for entity in entities.read(answer)})

    def tagged(answer: str) -> Sequence[str]:
        found = set(entities.read(answer))
        return [f"B-{place[0]}" if place in found else "O" for place in places]

    return [*tagged(prediction), "O"], [*tagged(target), "O"]


@pytest.mark.parametrize(
    ("text", "surface", "found"),
    [
        ("In Paris, France.", "paris", "Paris"),
        ("The U.S. team", "u. s.", "U.S."),
        ("San  Francisco", "san francisco", "San  Francisco"),
        ("nothing", "elsewhere", "elsewhere"),
        ("anything", "", ""),
    ],
)
def test_a_surface_is_as_the_text_has_it(text: str, surface: str, found: str) -> None:
    assert entities.as_in(text, surface) == found


def test_what_is_written_is_read_again() -> None:
    pairs = [("PER", "Ada"), ("LOC", "London"), ("PER", "Ada")]
    assert [(label, surface) for label, surface, _ in entities.read(entities.written(pairs))] == pairs
    assert entities.read(entities.written([])) == []
