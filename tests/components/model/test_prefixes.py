"""What is kept of texts is what they begin with, and the least used goes first."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from components.model.prefixes import BLOCK, Prefixes

texts = st.lists(st.integers(0, 1), min_size=1, max_size=5).map(
    lambda parts: [part for part in parts for _ in range(BLOCK)]
)


def keep(prefixes: Prefixes, text: list[int]) -> None:
    prefixes.keep(text, lambda _, end: torch.tensor(text[:end]))


@given(st.lists(texts, max_size=8), texts)
def test_what_is_found_belongs_to_the_whole_beginning(kept: list[list[int]], text: list[int]) -> None:
    prefixes = Prefixes(1000)
    for one in kept:
        keep(prefixes, one)
    found = prefixes.find([*text, 9])
    assert [block.tolist() for block in found] == [text[: (number + 1) * BLOCK] for number in range(len(found))]
    longest = max((_alike(one, text) for one in kept), default=0)
    assert len(found) == longest // BLOCK


def _alike(one: list[int], other: list[int]) -> int:
    return next(
        (place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
        min(len(one), len(other)),
    )


def test_the_last_token_is_always_read() -> None:
    prefixes = Prefixes(1000)
    keep(prefixes, [1] * 2 * BLOCK)
    assert len(prefixes.find([1] * 2 * BLOCK)) == 1


def test_the_blocks_that_were_not_used_for_longest_are_dropped() -> None:
    prefixes = Prefixes(3 * BLOCK)
    for text in ([1] * 2 * BLOCK, [2] * BLOCK):
        keep(prefixes, text)
    prefixes.find([1] * 3 * BLOCK)
    keep(prefixes, [3] * BLOCK)
    found = {token: len(prefixes.find([token] * 3 * BLOCK)) for token in (1, 2, 3)}
    assert found == {1: 2, 2: 0, 3: 1}


def test_without_room_nothing_is_kept() -> None:
    prefixes = Prefixes(0)
    keep(prefixes, [1] * 2 * BLOCK)
    assert prefixes.find([1] * 3 * BLOCK) == []
