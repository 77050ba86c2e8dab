"""Talking to a package in the terminal."""

import io
import sys

import pytest

from components.core.errors import BadData, BadSettings
from flows.cli.chat import converse, load


def test_one_prompt_gets_one_answer(tiny_package, capsys):
    converse(tiny_package, "The quick brown fox")
    first = capsys.readouterr().out
    converse(tiny_package, "The quick brown fox")
    assert capsys.readouterr().out == first  # the temperature of the package is 0
    assert first.endswith("\n")


def test_a_text_ends_the_answer(tiny_package, capsys):
    converse(tiny_package, "The quick brown fox")
    whole = capsys.readouterr().out.removesuffix("\n")
    stop = whole[len(whole) // 2 :][:2]
    converse(tiny_package, "The quick brown fox", stop=[stop])
    assert capsys.readouterr().out == whole[: whole.index(stop)] + "\n"


@pytest.mark.parametrize("ending", ["", "/quit\nunheard\n"], ids=["end of input", "/quit"])
def test_a_conversation_ends(tiny_package, monkeypatch, capsys, ending):
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"Hello\n\n{'long ' * 90}\n" + ending))
    converse(tiny_package, None)
    assert capsys.readouterr().out.count("> ") >= 4


@pytest.mark.parametrize("kind", ["labels", "encoder_decoder", "original"])
def test_every_architecture_answers(kind, packages, capsys):
    converse(packages[kind], "The quick brown fox")
    first = capsys.readouterr().out
    converse(packages[kind], "The quick brown fox")
    assert capsys.readouterr().out == first
    assert kind != "labels" or first.strip()


def test_an_encoder_answers_the_last_message_alone(packages):
    answer = load(packages["labels"])
    last = {"role": "user", "content": "The quick brown fox"}
    history = [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}, last]
    assert list(answer(history)) == list(answer([last]))


def test_thousands_of_blank_lines_say_nothing(tiny_package, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n" * 3000))
    converse(tiny_package, None)
    assert capsys.readouterr().out.count("> ") == 3001


def test_a_message_that_cannot_be_read_is_passed_over(tiny_package, monkeypatch, capsys):
    lines = io.BytesIO(b"\xff\n" + b"long " * 500 + b"\nHello\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(lines, encoding="utf-8"))
    converse(tiny_package, None)
    said, refused = capsys.readouterr()
    assert said.count("> ") == 4
    not_unicode, too_long = refused.splitlines()
    assert not_unicode == r"a text is not Unicode, as it holds '\udcff': give it as UTF-8"
    assert too_long.endswith("and at most 88 fit: shorten it")


def test_a_single_prompt_that_cannot_be_read_is_an_error(tiny_package):
    with pytest.raises(BadData, match="and at most 88 fit: shorten it"):
        converse(tiny_package, "long " * 500)
    with pytest.raises(BadSettings, match="it should be of length 1 or more"):
        converse(tiny_package, "Hello", stop=[""])
