"""Tokens: what folding makes equal and what it keeps apart, and that a batch changes nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.duplicates import tokens
from components.data.duplicates.sketches import sketch


def equal(one: str, other: str) -> bool:
    first, second = sketch([one, other], None).digests
    return bool(first == second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The cat sat.", "the  CAT\nsat."),
        ("“It’s” – fine…", '"It\'s" - fine...'),
        ("新年好，大家好。", "新年\n好，大家 好。"),
        ("Ｆｕｌｌ width １２", "full width 12"),
        ("Straße", "STRASSE"),
        ("a-b", "a - b"),
    ],
)
def test_copies_that_were_typed_anew_are_equal(one: str, other: str) -> None:
    assert equal(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1 + 1", "1 - 1"),
        (":)", ":("),
        ("ok", "ok ok"),
        ("nowhere", "now here"),
        ("good!", "good?"),
        ("😀", "😡"),
        ("不", "好"),
    ],
)
def test_short_texts_that_differ_are_kept_apart(one: str, other: str) -> None:
    assert not equal(one, other)


def test_a_word_is_a_token_and_so_is_a_character_without_spaces() -> None:
    read = tokens.read(["Don't stop, 北京!", "", "ไทย"])
    assert np.diff(read.words.starts).tolist() == [5, 0, 3]
    assert np.diff(read.everything.starts).tolist() == [8, 0, 3]


@given(st.lists(st.text(max_size=30), max_size=5), st.text(max_size=30))
def test_a_text_has_the_same_tokens_wherever_it_stands(others: list[str], text: str) -> None:
    among = tokens.read([*others, text])
    alone = tokens.read([text])
    for here, there in zip(among, alone, strict=True):
        assert here.of(len(others)).tolist() == there.of(0).tolist()
        windows, single = tokens.windows(here, 2), tokens.windows(there, 2)
        assert windows.of(len(others)).tolist() == single.of(0).tolist()


def test_batches_cover_all_texts_in_order() -> None:
    texts = ["a" * 700_000, "b" * 700_000, "c", "d" * 2_000_000, "e"]
    found = [text for part in tokens.batches(texts) for text in texts[part]]
    assert found == texts
    assert tokens.batches([]) == []
