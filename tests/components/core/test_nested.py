"""Nested settings: flat, and compared."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from components.core.nested import MISSING, differences, flat

NAMES = st.sampled_from("abc")
SETTINGS = st.recursive(
    st.none() | st.integers(0, 3), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
SECTIONS = st.dictionaries(NAMES, SETTINGS, max_size=3)


def test_what_differs_is_named() -> None:
    old = {"a": 1, "b": {"c": None, "d": 2}, "gone": {"x": 1}}
    new = {"a": 1, "b": {"c": 0, "d": 2}, "new": 3}
    assert list(differences(old, new)) == [
        ("b.c", None, 0),
        ("gone", {"x": 1}, MISSING),
        ("new", MISSING, 3),
    ]


@given(SECTIONS)
def test_equal_settings_do_not_differ(settings: dict[str, Any]) -> None:
    assert list(differences(settings, settings)) == []


@given(SECTIONS, SECTIONS)
def test_each_difference_is_where_it_says(old: dict[str, Any], new: dict[str, Any]) -> None:
    def at(settings: Any, name: str) -> Any:
        for key in name.split("."):
            settings = settings.get(key, MISSING) if isinstance(settings, dict) else MISSING
        return settings

    found = list(differences(old, new))
    assert all((at(old, name), at(new, name)) == (one, other) and one != other for name, one, other in found)
    assert bool(found) == (old != new)


def test_flat_names_have_dots() -> None:
    assert flat({"a": 1, "b": {"c": {"d": None}}, "empty": {}}) == {"a": 1, "b.c.d": None}
