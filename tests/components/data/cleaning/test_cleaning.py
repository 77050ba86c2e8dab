"""Cleaning, privacy, quality, duplicates, languages and splits: what holds for every text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.cleaning import language, quality
from components.data.cleaning.dedup import SeenTexts
from components.data.cleaning.normalise import normalise
from components.data.cleaning.privacy import mask
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
def test_masking_twice_changes_nothing(text: str) -> None:
    once = mask(text)
    assert mask(once) == once


@given(TRICKY)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = cleaned(text)
    assert cleaned(once) == once


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe+x@mail.example.co.uk, soon", "Write to <email>, soon"),
        ("联系方式：tony@163.com可以", "联系方式：<email>可以"),
        ("host 192.168.1.77 and 10.0.0.0/16", "host <ip> and <ip>/16"),
        ("over 2001:db8::8a2e:370:7334, too", "over <ip>, too"),
        ("call +44 20 7946 0958 now", "call <phone> now"),
        ("call (202) 265-2800 or 202-265-2800.", "call <phone> or <phone>."),
        ("telephone: [1] (202) 265-2800", "telephone: <phone>"),
        ("FAX: [246] 431-0179", "FAX: <phone>"),
        ("手机：13341772746。", "手机：<phone>。"),
        ("电话0311-86911999，（０１０）６５０９２８２４", "电话<phone>，<phone>"),
    ],
)
def test_personal_data_gives_way_to_placeholders(text: str, expected: str) -> None:
    assert mask(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "GDP $1,234,567,890 (2024 est.), 2,381,740 sq km, 28 00 N, 3 00 E",
        "from 1939-1945, on 2009-06-13 15:05:04 and 11/27/2024, a 1:2:4 ratio",
        "version 1.2.3 of v10.0.1.2, sprites@2x.png, pi is 3.14159265358979",
        "arn:aws:iam::123456789012:role/x, 01234567-89ab-cdef-0123-0123456789ab",
        "std::vector, Class::method, at 03:42:55, 256.1.1.1, 1.2.3.4.5",
        "ISBN 978-3-16-148410-0, 邮政编码：１００７３３, １９９８年１２月３１日, order 20090613150504",
        "[12] 1990-1995 and [3] 42, +10 000 men, 100-200-300",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert mask(text) == text


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


@given(st.lists(st.sampled_from(["a", "b", "c", "一", ""])))
def test_exactly_the_first_of_equal_texts_is_new(texts: list[str]) -> None:
    seen = SeenTexts()
    assert [text for text in texts if seen.add(text)] == list(dict.fromkeys(texts))


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
