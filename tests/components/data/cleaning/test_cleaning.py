"""Cleaning, quality, duplicates, languages and splits: what holds for every text."""

from collections import Counter

import ftfy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.cleaning import quality
from components.data.cleaning.normalise import normalise, repair
from components.data.cleaning.rows import Findings, cleaned
from components.data.settings import DocumentLimits, Shares
from components.data.tables.records import SPLITS, split_of
from tests.components.support.preparing import SETTINGS

SHARES = Shares(unit="document", validation=0.1, test=0.2)
LIMITS = DocumentLimits(
    min_characters=5, max_characters=100, max_symbols=0.5, max_unreadable=0.1, max_repeated_lines=0.4
)
ADDRESSES = ["a@b.org", "1.2.3.4", "::1", "fe80::1", "<email>"]
PHONES = ["+1 202 555 0100", "(202) 555-0100", "13912345678", "[41] (31) 357-7011", "（０１０）—６５０９２８２４"]
MOJIBAKE = ["Ã¸", "Ã", "©", "A\u0303", "â€", "œ", "\x9d", "Ð¿", "Ã \n", "√©", "\x93", "ü"]
OTHERS = ["\r", "\u200b", "e\u0301", "\u00a0", "\n", " ", ".", "-", "7", "x"]
PIECES = st.sampled_from([*ADDRESSES, *PHONES, *MOJIBAKE, *OTHERS])
TRICKY = st.one_of(st.text(), st.lists(PIECES, max_size=8).map("".join))


@given(TRICKY)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@given(TRICKY)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    found, again = (Findings(Counter(), Counter()) for _ in range(2))
    once = cleaned(text, SETTINGS, found)
    assert cleaned(once, SETTINGS, again) == once
    assert not again.personal
    assert not again.changes
    assert once == normalise(text) or found.personal or found.changes


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
    ("text", "broken"),
    [
        ("A fine text.", None),
        ("新年好，大家好。", None),
        ("four", ("too short", 4)),
        ("word " * 30, None),  # which is divided
        ("<|>{}[]#$% a b", ("too many symbols", 10 / 14)),
        ("bytes \ufffd\ufffd\ufffd lost", ("unreadable characters", 3 / 14)),
        ("menu\nhome\nmenu\nhome\nmenu", ("repeated lines", 0.6)),
    ],
)
def test_limits_that_drop_a_document(text: str, broken: tuple[str, float] | None) -> None:
    assert quality.broken(text, LIMITS) == broken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GrÃ¸nlands ReprÃ¦sentation", "Grønlands Repræsentation"),
        ("doesnâ€™t\nl’été — là", "doesn’t\nl’été — là"),
        ("schÃ¶n\nund schön", "schön\nund schön"),
        ("\x93Fine\x94, said Zoë", "“Fine”, said Zoë"),
        ("РџСЂРёРІРµС‚ РјРёСЂ", "Привет мир"),
        ("Voilà, l’«été» – naïve café à 20 °C", "Voilà, l’«été» – naïve café à 20 °C"),
        ("Это – «мир».", "Это – «мир»."),
        ("心胸狭窄，“性情”急躁&amp;", "心胸狭窄，“性情”急躁&amp;"),
    ],
)
def test_mojibake_is_repaired_line_by_line_and_nothing_else(text: str, expected: str) -> None:
    assert repair(text) == expected


@given(TRICKY)
def test_ftfy_changes_no_line_that_the_scan_leaves_out(text: str) -> None:
    config = ftfy.TextFixerConfig(unescape_html=False, fix_c1_controls=False)
    assert repair(text) == "\n".join(ftfy.fix_encoding(line, config) for line in text.split("\n"))
