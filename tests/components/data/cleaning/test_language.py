"""Languages of texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.cleaning import language


def sure(text: str, declared: str) -> str | None:
    found = language.contradiction(text, declared)
    return found and found.language


def test_languages_are_told_apart() -> None:
    assert language.identify("The cat sat on the mat and looked at the birds.")[0] == "en"
    assert language.identify("中国人民银行今天宣布下调存款准备金率。")[0] == "zh"


def test_a_declared_language_stands_unless_the_text_surely_contradicts() -> None:
    french = "Le gouvernement a annoncé hier que les nouvelles mesures seront présentées au parlement avant l'été. " * 3
    assert sure(french, "en") == "fr"
    assert language.contradiction(french, "fr") is None
    assert language.contradiction(french[:60], "en") is None


def test_a_licence_around_a_book_does_not_tell_its_language() -> None:
    licence = (
        "You may copy it, give it away or use it again under the terms of the licence included with this book. " * 6
    )
    book = "Der Graf trat ans Fenster und sah lange auf die Straße hinaus, bevor er der alten Frau antwortete. " * 40
    assert language.identify(licence + book + licence)[0] == "de"
    assert language.contradiction(licence + book + licence, "de") is None
    assert sure(book, "en") == "de"
    assert sure(licence, "de") == "en"


TELLING = {
    "en": "Most of the houses on this street were built before the railway came to town.",
    "de": "Die meisten Häuser in dieser Straße wurden gebaut, bevor die Eisenbahn kam.",
    "fr": "La plupart des maisons de cette rue ont été construites avant l'arrivée du train.",
    "es": "La mayoría de las casas de esta calle se construyeron antes de que llegara el tren.",
    "ru": "Большинство домов на этой улице были построены до того, как появилась железная дорога.",
    "zh": "这条街上的大多数房子都是在铁路修到镇上之前建造的。",
    "ja": "この通りの家のほとんどは、鉄道が町に来る前に建てられました。",
    "ar": "بنيت معظم المنازل في هذا الشارع قبل وصول السكة الحديدية إلى المدينة.",
    "th": "บ้านส่วนใหญ่บนถนนสายนี้สร้างขึ้นก่อนที่ทางรถไฟจะมาถึงเมือง",
}


@pytest.mark.parametrize("code", TELLING)
def test_a_sentence_tells_its_language_with_confidence(code: str) -> None:
    found = language.identify(TELLING[code])
    assert found.language == code
    assert 0.8 < found.confidence <= 1
    assert language.identify(TELLING[code].upper()).language == code


@pytest.mark.parametrize("text", ["", "\n", "7 7 7", "\u200b", "@" * 2000])
def test_a_text_without_words_has_no_sure_language(text: str) -> None:
    assert language.identify(text).confidence < 0.65


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("这条街上的大多数房子都是在铁路修到镇上之前建造的。", "zh-Hans"),
        ("這條街上的大多數房子都是在鐵路修到鎮上之前建造的。", "zh-Hant"),
        ("简体字“书”，繁體字「書」。學习", "zh"),  # both
        ("山水人口大小", "zh"),  # neither
    ],
)
def test_traditional_and_simplified_chinese_are_told_apart(text: str, tag: str) -> None:
    assert language.with_script("zh", text) == tag
    assert language.with_script("ja", text) == "ja"
    assert language.with_script("zh-TW", text) == "zh-TW"


def test_tags_with_script_and_region_are_of_their_language() -> None:
    chinese = TELLING["zh"] * 10
    assert [sure(chinese, tag) for tag in ("zh", "zh-Hans", "zh_CN", "en")] == [None, None, None, "zh"]


@given(st.text(max_size=2000))
def test_a_sample_is_bounded_and_begins_as_the_text_does(text: str) -> None:
    found = language.sample(text, 100)
    assert len(found) <= 104
    assert text.startswith(found[:20])
    assert found == text or len(text) > 100
