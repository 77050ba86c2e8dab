"""Entities as the text has them."""

import pytest

from components.tasks import entities


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
