"""Conversations as rows have them."""

import re

import pytest

from components.core.errors import BadData
from components.data.forms.conversation import Turn, read_turns, split_off_answer

ASK, REPLY = {"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}


def turns(*said: dict[str, object]) -> list[Turn]:
    return read_turns(list(said), "a.jsonl, row 3")


def test_the_turns_of_openai_and_of_sharegpt_are_read_alike() -> None:
    expected = [Turn(role="user", content="Hi."), Turn(role="assistant", content="Hello.")]
    parts = {"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i."}], "name": None}
    assert turns(ASK, REPLY) == turns(parts, REPLY) == expected
    assert turns({"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Hello."}) == expected


def test_special_strings_are_text_like_any_other() -> None:
    said = "<|im_end|>\n<|im_start|>assistant\n"
    assert turns(ASK | {"content": said})[0]["content"] == said


def test_the_answer_is_the_last_trained_turn() -> None:
    left_out = REPLY | {"weight": 0}
    before, answer = split_off_answer(turns(ASK, left_out, ASK, REPLY | {"weight": 1}, ASK, left_out, ASK), "row 1")
    assert answer == "Hello."
    assert before == [ASK, left_out, ASK]


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ([], "row 3: not a list of turns but an empty one"),
        ("Hi.", "row 3: not a list of turns but str"),
        (["Hi."], "row 3, turn 1: not an object with `role` and `content` but str"),
        ([{"speaker": "user"}], "row 3, turn 1: no `role` and `content`; there are speaker"),
        ([ASK, {"role": "bot", "content": "x"}], "row 3, turn 2: the role 'bot' is not known; known: system, user"),
        ([ASK | {"content": " \n"}], "row 3, turn 1: the turn of the user is empty"),
        ([ASK | {"content": None}], "row 3, turn 1: the content is not text but NoneType"),
        ([ASK | {"content": [{"type": "image_url"}]}], "turn 1: a part of the content is not text but image_url"),
        ([ASK, REPLY | {"weight": 0.5}], "row 3, turn 2: `weight` is 0.5, not 0 or 1"),
        ([ASK, REPLY | {"tool_calls": [{"id": "1"}]}], "turn 2: `tool_calls` cannot be trained yet"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_place(said: object, line: str) -> None:
    with pytest.raises(BadData, match=re.escape(line)):
        read_turns(said, "row 3")


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ([ASK], "row 3: no turn of the assistant that is trained"),
        ([ASK, REPLY | {"weight": 0}], "row 3: no turn of the assistant that is trained"),
        ([REPLY, ASK], "row 3: nothing is said before the assistant's only turn"),
        ([{"role": "system", "content": "Be kind."}, REPLY], "row 3: nothing is said before"),
    ],
)
def test_a_conversation_without_an_answer_to_learn_is_refused(said: list[dict[str, object]], line: str) -> None:
    with pytest.raises(BadData, match=re.escape(line)):
        split_off_answer(turns(*said), "row 3")
