"""Decontamination: planted texts are found however they were typed, and what is everywhere is not looked for."""

import random
import textwrap
from pathlib import Path

import pytest

from components.core.errors import BadSettings
from components.data.duplicates import benchmarks
from components.data.duplicates.passages import COMMON, Passages, beginnings

WORDS = [f"{first}{second}" for first in "bcdfghklmnprst" for second in ("ara", "edo", "inu", "ola", "upe")]


def text(seed: int, count: int) -> str:
    chosen = random.Random(seed)
    return " ".join(chosen.choice(WORDS) for _ in range(count))


def find(items: list[str], texts: list[str], least: float = 0.8) -> list[int]:
    return Passages.of(items).find(texts, least).item.tolist()


@pytest.mark.parametrize(
    "typed",
    [
        str,
        str.upper,
        lambda item: textwrap.fill(item, 23),
        lambda item: item.replace(" ", "  ").replace("a ", "a, ").title() + ".",
        lambda item: f"HEADER of the page\n\n{item}\nand a footer",
    ],
)
@pytest.mark.parametrize("count", [9, 13, 60])
def test_planted_items_are_found(typed, count: int) -> None:  # type: ignore[no-untyped-def]
    items = [text(seed, count) for seed in range(20)]
    planted = [f"{text(100 + seed, 300)} {typed(item)} {text(200 + seed, 300)}" for seed, item in enumerate(items)]
    assert find(items, [*planted, text(999, 600)]) == [*range(20), -1]


def test_chinese_items_are_found() -> None:
    item = "中国人民银行今天宣布下调存款准备金率百分之零点五"
    around = "以支持实体经济的发展市场对此反应积极。"
    assert find([item], [around + item[:12] + "\n" + item[12:] + around, around]) == [0, -1]


def test_a_part_of_an_item_counts_by_its_share() -> None:
    item = text(1, 100)
    half = " ".join(item.split()[:56])
    found = Passages.of([item]).find([half], 0.5)
    assert found.item.tolist() == [0]
    assert found.share[0] == pytest.approx(0.5)
    assert find([item], [half]) == [-1]


def test_short_items_and_common_phrases_are_not_looked_for() -> None:
    instruction = text(1, 30)
    items = ["a good film", *(f"{instruction} {number}" for number in range(COMMON + 1))]
    passages = Passages.of(items)
    assert passages.totals[0] == 0
    assert passages.find([f"a good film, and {instruction}"], 0.8).item.tolist() == [-1]


@pytest.mark.parametrize("least", [0.5, 0.8, 1.0])
def test_candidates_have_all_that_is_found_and_little_else(least: float) -> None:
    items = [text(seed, count) for seed, count in enumerate([8, 9, 12, 13, 14, 40, 100, 3])]
    cut = [" ".join(item.split()[: 3 * len(item.split()) // 5]) for item in items]
    passages = Passages.of(items)
    for planted in (*items, *cut, "", text(50, 100)):
        texts = [f"{text(100, 50)} {planted} {text(101, 50)}", text(102, 400)]
        found = passages.find(texts, least)
        candidates = passages.candidates(beginnings(texts), least)
        assert set(found.item.tolist()) - {-1} <= set(candidates.tolist())
        assert len(candidates) <= 1
        among = passages.only(candidates).find(texts, least)
        assert [candidates[item] if item >= 0 else -1 for item in among.item] == found.item.tolist()
        assert among.share.tolist() == found.share.tolist()


def test_files_of_benchmarks_are_read_text_by_text(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    benchmarks.FOLDER.mkdir(parents=True)
    (benchmarks.FOLDER / "quiz.jsonl").write_text('{"question": "Who?", "choices": ["he", "she"], "answer": 1}\n')
    (benchmarks.FOLDER / "lines.txt").write_text("one\ntwo\n")
    items = list(benchmarks.read(["data/benchmarks/quiz.jsonl", "data/benchmarks/lines.txt"]))
    assert [(item.benchmark, item.place, item.text) for item in items] == [
        ("benchmark quiz.jsonl", "quiz.jsonl:1", "Who?"),
        ("benchmark quiz.jsonl", "quiz.jsonl:1", "he"),
        ("benchmark quiz.jsonl", "quiz.jsonl:1", "she"),
        ("benchmark lines.txt", "lines.txt:1", "one"),
        ("benchmark lines.txt", "lines.txt:2", "two"),
    ]
    for path in ("data/benchmarks/none.jsonl", "elsewhere.jsonl", "data/benchmarks/../raw/a.jsonl"):
        with pytest.raises(BadSettings, match="is no file below data/benchmarks"):
            list(benchmarks.read([path]))
