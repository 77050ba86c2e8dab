"""The text of an answer appears as its tokens come, and ends where it should."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.serving.reply import Behind, Reply, Until, before
from components.tokenizer.tokenizer import Tokenizer


def through(part, pieces):
    """What a part shows of all pieces."""
    return "".join([*map(part.add, pieces), part.end()])


@given(st.lists(st.text("<think> \nab", max_size=4)))
def test_what_a_template_sets_before_an_answer_is_not_shown(pieces):
    text, lead = "".join(pieces), "<think>\n\n</think>"
    assert through(Behind(""), pieces) == text.lstrip()
    assert through(Behind(lead), ["\n", lead[:5], lead[5:], "\n\n", *pieces]) == text.lstrip()
    assert through(Behind(lead), ["no", *pieces]) == f"no{text}"


@pytest.fixture(scope="module")
def tokenizer(tiny_package):
    return Tokenizer.load(tiny_package)


@given(text=st.text())
def test_text_comes_in_whole_characters(tokenizer, text):
    pieces = list(Reply(tokenizer).pieces(tokenizer.encode(text)))
    assert "".join(pieces) == text
    assert all(pieces)
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in pieces)


def test_a_character_cut_off_by_the_end_shows_as_a_replacement_mark(tokenizer):
    *tokens, _ = tokenizer.encode("a🙂")
    assert "".join(Reply(tokenizer).pieces(tokens)) == "a\ufffd"


few = st.text(alphabet="ab\n天", max_size=12)
stops = st.lists(st.text(alphabet="ab\n天", min_size=1, max_size=4), max_size=3)


@given(pieces=st.lists(few), stop=stops)
@example(pieces=["ab", "ab", "a"], stop=["abb", "ba"])
def test_pieces_end_where_the_whole_text_does(pieces, stop):
    assert through(Until(stop), pieces) == before("".join(pieces), stop)


@given(pieces=st.lists(few), stop=stops)
def test_nothing_is_held_back_that_cannot_become_a_stop_string(pieces, stop):
    given_so_far, shown = "", ""
    until = Until(stop)
    for piece in pieces:
        given_so_far += piece
        shown += until.add(piece)
        held = given_so_far[len(shown) :]
        assert until.stopped or not held or any(string.startswith(held) for string in stop)


def test_the_first_stop_string_to_be_complete_counts():
    assert before("a long abcd", ["abcd", "bc", "zz"]) == "a long a"
    assert before("no end", ["abcd"]) == before("no end", []) == "no end"
