"""Talking to a package in the terminal."""

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.serving.chat import Assistant, characters, chat, fit
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


def test_the_oldest_turns_are_left_out_first(tokenizer):
    turns = [{"role": role, "content": f"{role} {number}"} for number in range(9) for role in ("user", "assistant")]
    conversation = [*turns, {"role": "user", "content": "the last question"}]
    limit = len(tokenizer.chat_prompt(conversation[-3:]))
    assert fit(conversation, tokenizer, 10_000) == tokenizer.chat_prompt(conversation)
    assert fit(conversation, tokenizer, limit) == tokenizer.chat_prompt(conversation[-3:])


def test_a_message_too_long_is_cut_at_its_end(tokenizer):
    ids = fit([{"role": "user", "content": "First " + "天地" * 100}], tokenizer, 60)
    assert len(ids) <= 60
    assert "First 天地" in tokenizer.decode(ids)
    assert "\ufffd" not in tokenizer.decode(ids)


def test_one_prompt_gets_one_answer(tiny_package, capsys):
    chat(tiny_package, "The quick brown fox")
    first = capsys.readouterr().out
    chat(tiny_package, "The quick brown fox")
    assert capsys.readouterr().out == first  # the temperature of the package is 0
    assert first.endswith("\n")


@pytest.mark.parametrize("ending", ["", "/quit\nunheard\n"], ids=["end of input", "/quit"])
def test_a_conversation_ends(tiny_package, monkeypatch, capsys, ending):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"Hello\n\n{'long ' * 90}\n" + ending))
    chat(tiny_package, None)
    assert capsys.readouterr().out.count("> ") >= 4


def test_sampling_comes_from_the_package(tiny_package):
    assistant = Assistant.load(tiny_package)
    assert assistant.sampling.temperature == 0
    assert assistant.max_new_tokens == 8
    assert assistant.tokenizer.end_of_turn in assistant.stop
