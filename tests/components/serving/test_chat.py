"""Talking to a package in the terminal."""

import io
import sys

import pytest

from components.serving.chat import Assistant, chat, fit, load
from components.tokenizer.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(tiny_package):
    return Tokenizer.load(tiny_package)


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


def test_a_text_ends_the_answer(tiny_package, capsys):
    chat(tiny_package, "The quick brown fox")
    whole = capsys.readouterr().out.removesuffix("\n")
    stop = whole[len(whole) // 2 :][:2]
    chat(tiny_package, "The quick brown fox", stop=[stop])
    assert capsys.readouterr().out == whole[: whole.index(stop)] + "\n"


@pytest.mark.parametrize("ending", ["", "/quit\nunheard\n"], ids=["end of input", "/quit"])
def test_a_conversation_ends(tiny_package, monkeypatch, capsys, ending):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"Hello\n\n{'long ' * 90}\n" + ending))
    chat(tiny_package, None)
    assert capsys.readouterr().out.count("> ") >= 4


@pytest.mark.parametrize("kind", ["labels", "encoder_decoder", "original"])
def test_every_architecture_answers(kind, packages, capsys):
    chat(packages[kind], "The quick brown fox")
    first = capsys.readouterr().out
    chat(packages[kind], "The quick brown fox")
    assert capsys.readouterr().out == first
    assert kind != "labels" or first.strip()


def test_an_encoder_answers_the_last_message_alone(packages):
    encoder = load(packages["labels"])
    last = {"role": "user", "content": "The quick brown fox"}
    history = [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}, last]
    assert list(encoder.reply(history, seed=0)) == list(encoder.reply([last], seed=1))


def test_sampling_comes_from_the_package(tiny_package):
    assistant = Assistant.load(tiny_package, stop=())
    assert assistant.sampling.temperature == 0
    assert assistant.max_new_tokens == 8
    assert assistant.tokenizer.end_of_turn in assistant.stop
