"""Near copies: recall and precision of planted pairs, and what does not depend on the order of texts."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from components.data.duplicates.near import COMPARISONS, Collection, Texts, clusters, near_copies, straddling
from components.data.duplicates.sketches import RECALL, bands, sketch
from components.data.settings import Duplicates

SETTINGS = Duplicates(threshold=0.8, shingle_words=2, min_words=20)


def words(seed: int, count: int) -> list[str]:
    chosen = random.Random(seed)
    return [f"w{chosen.randrange(5000)}" for _ in range(count)]


def edited(text: list[str], edits: int, seed: int) -> list[str]:
    chosen = random.Random(seed)
    places = set(chosen.sample(range(len(text)), edits))
    return [f"new{seed}x{place}" if place in places else word for place, word in enumerate(text)]


def texts_of(folder: Path, texts: list[str], settings: Duplicates = SETTINGS) -> Texts:
    folder.mkdir(parents=True, exist_ok=True)
    with Collection(folder / "shingles", settings) as collection:
        for start in range(0, len(texts), 100):
            collection.add(sketch(texts[start : start + 100], settings))
        return collection.texts()


def jaccard(one: str, other: str) -> float:
    first, second = ({*itertools.pairwise(text.split())} for text in (one, other))
    return len(first & second) / len(first | second)


def test_planted_pairs_are_found_and_no_others(folder: Path) -> None:
    originals = [words(seed, 120) for seed in range(300)]
    copies = [edited(text, edits=4 + seed % 7, seed=seed) for seed, text in enumerate(originals)]
    texts = [" ".join(text) for text in originals + copies]
    found = near_copies(texts_of(folder, texts), np.arange(len(texts)))
    truth = {row: jaccard(texts[row - 300], texts[row]) for row in range(300, 600)}
    planted = {row for row, similarity in truth.items() if similarity >= SETTINGS.threshold}
    assert 100 < len(planted) < 280
    assert len(planted & set(found)) / len(planted) >= 0.98
    assert set(found) <= planted
    for row, (original, similarity) in found.items():
        assert original == row - 300
        assert similarity == pytest.approx(truth[row])


def test_bands_find_what_is_at_the_threshold() -> None:
    for threshold in (0.5, 0.7, 0.8, 0.9):
        count, rows = bands(threshold)
        assert count * rows <= 128
        assert 1 - (1 - threshold**rows) ** count >= RECALL
    assert bands(0.8) == (21, 6)


def test_what_is_kept_has_no_near_copies_left(folder: Path) -> None:
    chain = [words(1, 100)]
    for seed in range(30):
        chain.append(edited(chain[-1], edits=3, seed=seed))
    texts = [" ".join(text) for text in chain]
    found = near_copies(texts_of(folder, texts), np.arange(len(texts)))
    kept = [text for row, text in enumerate(texts) if row not in found]
    assert 1 < len(kept) < len(texts)
    assert all(jaccard(*pair) < SETTINGS.threshold for pair in itertools.combinations(kept, 2))
    assert near_copies(texts_of(folder, kept), np.arange(len(kept))) == {}


def test_a_chain_of_near_texts_is_one_cluster_and_straddles_when_it_is_cut(folder: Path) -> None:
    chain = [words(1, 100)]
    for seed in range(10):
        chain.append(edited(chain[-1], edits=3, seed=seed))
    texts = texts_of(folder, [" ".join(text) for text in [*chain, words(2, 100)]])
    order = np.arange(12)
    assert clusters(texts, order, order).tolist() == [0] * 11 + [11]
    assert straddling(texts, order, np.zeros(12)) == {}
    cut = straddling(texts, order, np.array([0] * 6 + [1] * 6))
    assert {5, 6} <= set(cut)
    assert 11 not in cut


def test_short_texts_are_copies_only_when_they_are_equal(folder: Path) -> None:
    texts = texts_of(folder, ["ok", "OK ", "ok.", "one two three four five six seven eight nine ten " + "x", "y"])
    assert near_copies(texts, np.arange(5)) == {}
    assert clusters(texts, np.arange(5), np.arange(5)).tolist() == [0, 0, 2, 3, 4]


def test_thousands_of_copies_are_compared_with_a_few_of_them(folder: Path) -> None:
    base = words(1, 100)
    texts = [" ".join(edited(base, edits=1, seed=seed)) for seed in range(2000)]
    found = texts_of(folder, texts)
    assert sum(1 for _ in found.near(np.arange(2000))) <= 21 * COMPARISONS * 2000 / 4
    assert len(near_copies(found, np.arange(2000))) == 1999


def test_chinese_is_compared_by_characters(folder: Path) -> None:
    text = "中国人民银行今天宣布下调存款准备金率百分之零点五，以支持实体经济的发展，市场对此反应积极。"
    other = text.replace("今天", "昨天").replace("，", "\n")
    assert list(near_copies(texts_of(folder, [text, other]), np.arange(2))) == [1]
