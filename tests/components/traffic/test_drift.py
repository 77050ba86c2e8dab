"""Drift of texts: a shift is seen in the dimension it is in, and chance is not taken for one."""

import random

from components.traffic import drift

THRESHOLD = 0.25
WORDS = ["ship", "river", "mountain", "train", "music", "painter", "bread", "water", "north", "island"]


def texts(count: int, seed: int, *, long: int = 6, extra: str = "") -> list[str]:
    order = random.Random(seed)
    return [" ".join([*order.choices(WORDS, k=long), *([extra] if extra else [])]) for _ in range(count)]


def drifted(found: list[drift.Drift]) -> set[str]:
    return {one.dimension for one in found if one.drifted}


def test_texts_of_one_kind_have_not_drifted():
    found = drift.inputs(texts(150, 1), texts(150, 2), lambda _: True, THRESHOLD)
    assert [one.dimension for one in found] == ["length", "language", "words", "vocabulary"]
    assert drifted(found) == set()


def test_each_shift_is_seen_where_it_is():
    before = texts(150, 1)
    longer = drift.inputs(before, texts(150, 2, long=30), lambda _: True, THRESHOLD)
    assert "length" in drifted(longer)
    assert "words" not in drifted(longer)
    other = drift.inputs(before, texts(150, 2, extra="blockchain"), lambda word: word != "blockchain", THRESHOLD)
    assert {"words", "vocabulary"} <= drifted(other)
    [words] = [one for one in other if one.dimension == "words"]
    assert (words.most_moved, words.before) == ("blockchain", 0.0)
    chinese = drift.inputs(before, ["天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。"] * 150, lambda _: True, THRESHOLD)
    assert "language" in drifted(chinese)


def test_a_large_index_of_few_texts_can_be_chance():
    order = random.Random(0)
    rare = [f"{order.randrange(10**6)} {order.randrange(10**6)}" for _ in range(200)]
    [words] = [
        one for one in drift.inputs(rare[:100], rare[100:], lambda _: True, THRESHOLD) if one.dimension == "words"
    ]
    assert words.index > THRESHOLD
    assert not words.drifted


def test_labels_drift_among_the_answers_that_are_labels():
    before = ["Arts", "History"] * 100
    now = ["Arts"] * 190 + ["History"] * 10
    found = drift.outputs(before, now, {"Arts", "History"}, THRESHOLD)
    assert "label" in drifted(found)
    assert "label" not in {one.dimension for one in drift.outputs(before, now, {"Other"}, THRESHOLD)}


def test_words_of_chinese_are_its_characters():
    assert list(drift.words("Die Straße 天地, naïve 12")) == ["Die", "Straße", "天", "地", "naïve", "12"]
