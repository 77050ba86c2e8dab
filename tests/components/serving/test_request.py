"""What may be asked of a model, and what is said to the rest."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import BadData, BadSettings, StageError
from components.serving.request import Options, conversation

DEFAULTS = Options(max_new_tokens=8, temperature=0.0)


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"max_tokens": 4}, "`max_tokens` is not a parameter; did you mean `max_new_tokens`?"),
        (
            {"banana": 4},
            "`banana` is not a parameter; known: max_new_tokens, temperature, top_p, seed, stop",
        ),
        ({"temperature": -1}, "temperature is -1: it should be at least 0"),
        ({"temperature": None}, "temperature is null: it should be a finite number"),
        ({"temperature": float("nan")}, "temperature is null: it should be a finite number"),
        ({"temperature": float("inf")}, "temperature is Infinity: it should be a finite number"),
        ({"temperature": True}, "temperature is true: it should be a finite number"),
        ({"top_p": 0}, "top_p is 0: it should be above 0"),
        ({"top_p": 1.5}, "top_p is 1.5: it should be at most 1"),
        ({"seed": -1}, "seed is -1: it should be at least 0"),
        ({"seed": 1.5}, "seed is 1.5: it should be a whole number"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0: it should be at least 1"),
        ({"max_new_tokens": "4"}, 'max_new_tokens is "4": it should be a whole number'),
        ({"stop": "."}, 'stop is ".": it should be a list'),
        ({"stop": [".", ""]}, 'stop[1] is "": it should be of length 1 or more'),
        ({"stop": [None]}, "stop[0] is null: it should be Unicode text"),
        ({"stop": ["\udcff"]}, r'stop[0] is "\udcff": it should be Unicode text'),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_its_limit(asked: dict[str, object], line: str) -> None:
    with pytest.raises(BadSettings) as refused:
        DEFAULTS.having(asked)
    assert str(refused.value) == line


def test_what_is_asked_goes_before_the_defaults() -> None:
    asked = {"max_new_tokens": 3, "temperature": 1, "top_p": 0.5, "seed": 10**30, "stop": ["\n", "."]}
    assert DEFAULTS.having(asked) == Options(
        max_new_tokens=3, temperature=1.0, top_p=0.5, seed=10**30, stop=("\n", ".")
    )
    assert DEFAULTS.having({}) == DEFAULTS


def test_the_defaults_come_from_the_package() -> None:
    sampled = {"max_new_tokens": 9, "do_sample": True, "temperature": 0.7, "top_p": 0.9}
    assert Options.of_package(sampled) == Options(max_new_tokens=9, temperature=0.7, top_p=0.9)
    assert Options.of_package({"max_new_tokens": 9, "do_sample": False}).temperature == 0


USER = {"role": "user", "content": "Hello"}


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (None, "null is no prompt: it should be a text, or a list of messages"),
        (float("nan"), "null is no prompt: it should be a text, or a list of messages"),
        ([], "[] is no prompt: it should be a text, or a list of messages"),
        (USER, '{"role": "user", "content": "Hello"} is no prompt: it should be a text, or a list of messages'),
        (["Hello"], '"Hello" is no message: it should have a role and a content, and no more'),
        (
            [{"content": "Hello"}],
            '{"content": "Hello"} is no message: it should have a role and a content, and no more',
        ),
        ([USER | {"role": "bot"}], 'the role of a message is "bot": it should be one of system, user, assistant, tool'),
        ([USER | {"content": None}], "the content of a message is null: it should be a text"),
        (
            [USER, USER | {"role": "assistant"}],
            "the last message is of the role assistant: it should be of the user, or of a tool",
        ),
    ],
)
def test_what_is_no_conversation_is_refused(asked: object, line: str) -> None:
    with pytest.raises(BadData) as refused:
        conversation(asked)
    assert str(refused.value) == line


def test_a_text_is_the_only_message() -> None:
    assert conversation("Hello") == [USER] == conversation([USER])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = SCALARS | st.lists(SCALARS) | st.lists(st.fixed_dictionaries({"role": SCALARS, "content": SCALARS}))


@given(st.sampled_from(list(Options.__annotations__)), VALUES)
@settings(max_examples=50)
def test_whatever_is_asked_gets_an_answer_or_a_line(name: str, value: object) -> None:
    with contextlib.suppress(StageError):
        DEFAULTS.having({name: value})
    with contextlib.suppress(StageError):
        conversation(value)
