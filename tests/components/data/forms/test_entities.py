"""Entities from tags and from spans."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import BadData
from components.data.forms.entities import Span, from_spans, from_tags

TOKENS = ["Ann", "Lee", "met", "Bob", "Ito", "in", "Rome"]
EXPECTED = "PER: Ann Lee\nPER: Bob Ito\nLOC: Rome"


@pytest.mark.parametrize(
    "tags",
    [
        ["B-PER", "I-PER", "O", "B-PER", "I-PER", "O", "B-LOC"],  # BIO
        ["I-PER", "I-PER", "O", "I-PER", "I-PER", "O", "I-LOC"],  # IOB1, as in CoNLL-2003
        ["B-PER", "E-PER", "O", "B-PER", "E-PER", "O", "S-LOC"],  # IOBES
        ["B-PER", "L-PER", "O", "B-PER", "L-PER", "O", "U-LOC"],  # BILOU
        ["PER", "PER", "O", "PER", "PER", "O", "LOC"],  # IO
    ],
)
def test_all_ways_to_tag_say_the_same(tags: list[str]) -> None:
    found = from_tags(TOKENS, tags, "row 1")
    assert found.text == "Ann Lee met Bob Ito in Rome"
    assert found.target() == EXPECTED


def test_neighbours_of_one_label_stay_apart_where_the_tags_say_so() -> None:
    for tags in (["B-PER", "B-PER"], ["S-PER", "S-PER"], ["U-PER", "U-PER"], ["E-PER", "E-PER"]):
        assert from_tags(["Ann", "Bob"], tags, "row 1").target() == "PER: Ann\nPER: Bob"
    assert from_tags(["Ann", "Bob"], ["PER", "PER"], "row 1").target() == "PER: Ann Bob"
    assert from_tags(["Ann", "Bob"], ["O", "O"], "row 1").target() == "-"


def test_tokens_of_chinese_are_joined_without_spaces() -> None:
    found = from_tags(["李", "明", "在", "IBM", "工作"], ["B-PER", "I-PER", "O", "B-ORG", "O"], "row 1")
    assert (found.text, found.target()) == ("李明在 IBM 工作", "PER: 李明\nORG: IBM")


@given(
    st.lists(st.tuples(st.text("aé我 b", min_size=1).filter(str.strip), st.sampled_from(["O", "A", "B"])), min_size=1)
)
def test_every_entity_is_in_the_text_in_order(tagged: list[tuple[str, str]]) -> None:
    tokens, tags = zip(*tagged, strict=True)
    found = from_tags(tokens, tags, "row 1")
    ends = [0, *(span.end for span in found.spans)]
    assert all(span.start >= end for span, end in zip(found.spans, ends, strict=False))
    labels = [label for label, _ in itertools.groupby(tags) if label != "O"]
    assert [span.label for span in found.spans] == labels
    covered = [token for span in found.spans for token in found.text[span.start : span.end].split()]
    assert covered == [word for token, tag in tagged if tag != "O" for word in token.split()] or "我" in found.text


def test_spans_are_sorted_and_trimmed_and_stay_on_a_line() -> None:
    text = "Ann Lee of New\nYork"
    found = from_spans(text, [{"start": 10, "end": 19, "label": "LOC"}, [0, 8, "PER"]], "row 1")
    assert found.spans == [Span(0, 7, "PER"), Span(11, 19, "LOC")]
    assert (found.text, found.target()) == ("Ann Lee of New York", "PER: Ann Lee\nLOC: New York")
    assert from_spans(text, [], "row 1").target() == "-"


@pytest.mark.parametrize(
    ("spans", "line"),
    [
        ([{"start": 0, "end": 99, "label": "X"}], "row 1, span 1: 0 to 99 is no part of a text of 12 characters"),
        ([{"start": 4, "end": 4, "label": "X"}], "row 1, span 1: 4 to 4 is no part"),
        (
            [{"start": 0, "end": 3}],
            "row 1, span 1: {'start': 0, 'end': 3} has no start and end, in characters, and label",
        ),
        (["Ann"], "row 1, span 1: 'Ann' has no start"),
        ([[0, 3, "X"], {"start": 5, "end": 12, "label": "X", "text": "saw Bob"}], "span 2: its text is 'saw Bob', but"),
        ([[0, 7, "X"], [4, 12, "Y"]], "row 1: the spans 'Ann saw' (X) and 'saw Bob.' (Y) overlap"),
        ([[3, 4, "X"]], "row 1: an entity 'X' at character 4 is blank"),
        ([[0, 3, "a: b"]], "row 1: the label 'a: b' is empty or has a colon or a line break"),
    ],
)
def test_spans_that_do_not_fit_the_text_are_refused(spans: list[object], line: str) -> None:
    with pytest.raises(BadData, match=re.escape(line)):
        from_spans("Ann saw Bob.", spans, "row 1")


def test_a_tag_is_needed_for_each_token() -> None:
    with pytest.raises(BadData, match="row 1: 2 tokens and 1 tags"):
        from_tags(["Ann", "Lee"], ["O"], "row 1")
