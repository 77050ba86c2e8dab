"""Text that appears as its tokens come, and stops where it should."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.serving.streaming import before, characters, stopped, until
from components.tokenizer.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tiny_package):
    return Tokenizer.load(tiny_package)


@given(text=st.text())
def test_text_comes_in_whole_characters(tokenizer, text):
    pieces = list(characters(tokenizer.encode(text), tokenizer))
    assert "".join(pieces) == text
    assert all(pieces)
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in pieces)


def test_a_character_cut_off_by_the_end_shows_as_a_replacement_mark(tokenizer):
    *tokens, _ = tokenizer.encode("a🙂")
    assert "".join(characters(tokens, tokenizer)) == "a\ufffd"


few = st.text(alphabet="ab\n天", max_size=12)
stops = st.lists(st.text(alphabet="ab\n天", min_size=1, max_size=4), max_size=3)


@given(pieces=st.lists(few), stop=stops)
@example(pieces=["ab", "ab", "a"], stop=["abb", "ba"])
def test_pieces_end_where_the_whole_text_does(pieces, stop):
    assert "".join(until(pieces, stop)) == before("".join(pieces), stop)


@given(pieces=st.lists(few), stop=stops)
def test_nothing_is_held_back_that_cannot_become_a_stop_string(pieces, stop):
    given_so_far, shown = "", ""

    def arriving():
        nonlocal given_so_far
        for piece in pieces:
            given_so_far += piece
            yield piece
            held = given_so_far[len(shown) :]
            assert not held or any(string.startswith(held) for string in stop)

    for piece in until(arriving(), stop):
        shown += piece


@given(text=few, stop=stops)
def test_an_answer_ends_with_the_token_that_completes_a_stop_string(tokenizer, text, stop):
    tokens = tokenizer.encode(text)
    complete = stopped(tokenizer, stop)
    end = next((count for count in range(1, len(tokens) + 1) if complete(tokens[:count])), len(tokens))
    assert before(tokenizer.decode(tokens[:end]), stop) == before(text, stop)
    assert before(tokenizer.decode(tokens[: end - 1]), stop) == tokenizer.decode(tokens[: end - 1])


def test_the_first_stop_string_to_be_complete_counts():
    assert before("a long abcd", ["abcd", "bc", "zz"]) == "a long a"
    assert before("no end", ["abcd"]) == before("no end", []) == "no end"
