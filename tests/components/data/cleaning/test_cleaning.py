"""Cleaning, quality, duplicates, languages and splits: what holds for every text."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.cleaning import language, quality
from components.data.cleaning.normalise import normalise
from components.data.settings import DocumentLimits, Shares
from components.data.tables.split import SPLITS, split_of
from components.stages.prepare import cleaned

SHARES = Shares(unit="document", validation=0.1, test=0.2)
LIMITS = DocumentLimits(
    min_characters=5, max_characters=100, max_symbols=0.5, max_unreadable=0.1, max_repeated_lines=0.4
)
ADDRESSES = ["a@b.org", "1.2.3.4", "::1", "fe80::1", "<email>"]
PHONES = ["+1 202 555 0100", "(202) 555-0100", "13912345678", "[41] (31) 357-7011", "（０１０）—６５０９２８２４"]
OTHERS = ["\r", "\u200b", "e\u0301", "\u00a0", "\n", " ", ".", "-", "7", "x"]
PIECES = st.sampled_from([*ADDRESSES, *PHONES, *OTHERS])
TRICKY = st.one_of(st.text(), st.lists(PIECES, max_size=8).map("".join))


@given(TRICKY)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(TRICKY)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    found: Counter[str] = Counter()
    once = cleaned(text, found)
    assert cleaned(once, again := Counter()) == once
    assert not again
    assert bool(found) == (once != normalise(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cafe\u0301", "caf\u00e9"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("\ufeffzero\u200bwidth \x00nul\x1b", "zerowidth nul"),
        ("a\u00a0b\u3000c  d", "a b c  d"),
        ("  a  \n\n\n\n\tb\t\n", "a\n\n\tb"),
        ("新年１９９８", "新年１９９８"),
    ],
)
def test_normalised_forms(text: str, expected: str) -> None:
    assert normalise(text) == expected


@given(st.text(), st.lists(st.text()))
def test_a_split_depends_on_the_text_alone(text: str, others: list[str]) -> None:
    before = split_of(text, SHARES)
    assert before in SPLITS
    assert {other: split_of(other, SHARES) for other in [*others, text]}[text] == before


def test_splits_have_their_shares_and_grow_without_losing_texts() -> None:
    texts = [f"text {number}" for number in range(20_000)]
    splits = [split_of(text, SHARES) for text in texts]
    assert splits.count("test") / len(texts) == pytest.approx(0.2, abs=0.01)
    assert splits.count("validation") / len(texts) == pytest.approx(0.1, abs=0.01)
    larger = [split_of(text, Shares(unit="document", validation=0.1, test=0.3)) for text in texts]
    assert all(new == "test" for old, new in zip(splits, larger, strict=True) if old == "test")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A fine text.", None),
        ("新年好，大家好。", None),
        ("four", "too short"),
        ("word " * 30, None),  # which is divided
        ("<|>{}[]#$% a b", "too many symbols"),
        ("bytes \ufffd\ufffd\ufffd lost", "unreadable characters"),
        ("menu\nhome\nmenu\nhome\nmenu", "repeated lines"),
    ],
)
def test_reasons_to_drop_a_document(text: str, reason: str | None) -> None:
    assert quality.rejection(text, LIMITS) == reason


def test_languages_are_told_apart() -> None:
    assert language.identify("The cat sat on the mat and looked at the birds.")[0] == "en"
    assert language.identify("中国人民银行今天宣布下调存款准备金率。")[0] == "zh"


def test_a_declared_language_stands_unless_the_text_surely_contradicts() -> None:
    french = "Le gouvernement a annoncé hier que les nouvelles mesures seront présentées au parlement avant l'été. " * 3
    assert language.contradiction(french, "en") == "fr"
    assert language.contradiction(french, "fr") is None
    assert language.contradiction(french[:60], "en") is None


def test_a_licence_around_a_book_does_not_tell_its_language() -> None:
    licence = (
        "You may copy it, give it away or use it again under the terms of the licence included with this book. " * 6
    )
    book = "Der Graf trat ans Fenster und sah lange auf die Straße hinaus, bevor er der alten Frau antwortete. " * 40
    assert language.identify(licence + book + licence)[0] == "de"
    assert language.contradiction(licence + book + licence, "de") is None
    assert language.contradiction(book, "en") == "de"
    assert language.contradiction(licence, "de") == "en"


@given(st.text(max_size=2000))
def test_places_are_parts_of_a_text_from_its_beginning_on(text: str) -> None:
    found = language.places(text)
    assert text.startswith(found[0])
    assert all(place in text for place in found)
    assert sum(map(len, found)) == min(len(text), language.CHARACTERS * len(found))
