"""A tiny corpus in English and Chinese, with examples of every task: the same bytes every time, and easy to learn."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

SUBJECTS = {
    "Geography": ["river", "mountain", "island", "valley", "desert"],
    "History": ["king", "war", "treaty", "empire", "revolt"],
    "Mathematics": ["number", "theorem", "proof", "circle", "angle"],
    "Technology": ["engine", "computer", "radio", "bridge", "printer"],
}
VERBS = ["crosses", "describes", "changes", "holds", "follows", "divides"]
PLACES = ["the north", "the old town", "a long wall", "the southern plain", "many pages", "a quiet field"]
WORDS_ZH = ["河流", "城市", "历史", "数学", "老师", "学生", "电影", "音乐", "春天", "夜晚"]
WORDS_EN = ["rivers", "cities", "history", "mathematics", "teachers", "students", "films", "music", "spring", "night"]
VERBS_ZH = ["经过", "喜欢", "改变", "看见", "离开", "记住"]
VERBS_EN = ["pass", "like", "change", "see", "leave", "remember"]
PRAISE = {"positive": ["wonderful", "great", "lovely"], "negative": ["terrible", "boring", "awful"]}
PRAISE_ZH = {"正面": ["很好", "精彩", "满意"], "负面": ["很差", "无聊", "失望"]}

Row = dict[str, str]


def write(folder: Path, catalog: Path, rows: int = 120) -> None:
    """Write JSON lines into a folder, and the catalogue that lists them; `rows` of each kind."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = [
        _source(folder, "english", ["en"], ["documents"], _english(rows), documents={"text": "text"}),
        _source(folder, "chinese", ["zh"], ["documents"], _chinese(rows), documents={"text": "text"}),
        _task(folder, "topic", "en", ("text",), _topic(rows)),
        _task(folder, "sentiment_en", "en", ("text",), _sentiment_en(rows)),
        _task(folder, "sentiment_zh", "zh", ("text",), _sentiment_zh(rows)),
        _task(folder, "description", "en", ("title", "text"), _description(rows)),
        _task(folder, "question_answering", "en", ("context", "question"), _questions(rows)),
        _task(folder, "translation_en_zh", "en", ("text",), ({"text": a, "target": b} for a, b in _pairs(rows, 0))),
        _task(folder, "translation_zh_en", "zh", ("text",), ({"text": b, "target": a} for a, b in _pairs(rows, 1))),
    ]
    with catalog.open("w", encoding="utf-8") as file:
        YAML().dump({"sources": sources}, file)


def notes(pattern: str) -> dict[str, object]:
    """The entry of a catalogue for documents in local text files."""
    return {
        "name": "notes",
        "kind": "files",
        "license": "MIT",
        "languages": ["en"],
        "yields": ["documents"],
        "files": [{"path": pattern}],
        "documents": {"text": "text"},
    }


def _source(
    folder: Path, name: str, languages: list[str], yields: list[str], rows: Iterator[Row], **columns: object
) -> dict[str, object]:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return {
        "name": name,
        "kind": "files",
        "license": "Apache-2.0",
        "languages": languages,
        "yields": yields,
        "files": [{"path": str(path)}],
        **columns,
    }


def _task(folder: Path, task: str, language: str, inputs: tuple[str, ...], rows: Iterator[Row]) -> dict[str, object]:
    columns = {"task": task, "inputs": {name: name for name in inputs}, "target": "target"}
    return _source(folder, task, [language], [task], rows, examples=columns)


def _english(rows: int) -> Iterator[Row]:
    chance = random.Random("english")
    for number in range(rows):
        subject = chance.choice(sorted(SUBJECTS))
        yield {"text": f"Part {number} of {subject}. " + " ".join(_sentence(chance, subject) for _ in range(8))}


def _chinese(rows: int) -> Iterator[Row]:
    chance = random.Random("chinese")
    for number in range(rows):
        yield {"text": f"第{number}章。" + "".join(_sentence_zh(chance) for _ in range(10))}


def _topic(rows: int) -> Iterator[Row]:
    chance = random.Random("topic")
    for number in range(rows):
        subject = sorted(SUBJECTS)[number % len(SUBJECTS)]
        yield {"text": f"{_sentence(chance, subject)} {_sentence(chance, subject)} Note {number}.", "target": subject}


def _sentiment_en(rows: int) -> Iterator[Row]:
    chance = random.Random("sentiment_en")
    for number in range(rows):
        label = sorted(PRAISE)[number % 2]
        word = chance.choice(PRAISE[label])
        yield {"text": f"Film {number} in {chance.choice(PLACES)} was {word}, really {word}.", "target": label}


def _sentiment_zh(rows: int) -> Iterator[Row]:
    chance = random.Random("sentiment_zh")
    for number in range(rows):
        label = sorted(PRAISE_ZH)[number % 2]
        yield {"text": f"第{number}部{chance.choice(WORDS_ZH)}{chance.choice(PRAISE_ZH[label])}。", "target": label}


def _description(rows: int) -> Iterator[Row]:
    chance = random.Random("description")
    for number in range(rows):
        subject = chance.choice(sorted(SUBJECTS))
        word = chance.choice(SUBJECTS[subject])
        text = f"The {word} {number} lies in {chance.choice(PLACES)}. {_sentence(chance, subject)}"
        yield {"title": f"{word.title()} {number}", "text": text, "target": f"a {word} of {subject.lower()}"}


def _questions(rows: int) -> Iterator[Row]:
    chance = random.Random("question_answering")
    for number in range(rows):
        words = {name: chance.choice(SUBJECTS[name]) for name in sorted(SUBJECTS)}
        name = chance.choice(sorted(words))
        context = f"Land {number}. " + " ".join(f"{key}: {word}." for key, word in words.items())
        yield {"context": context, "question": name, "target": words[name]}


def _pairs(rows: int, first: int) -> Iterator[tuple[str, str]]:
    """The same in English and in Chinese, word for word; no pair has a number of the other series."""
    chance = random.Random(f"pairs {first}")
    for number in range(first, 2 * rows, 2):
        word, other = chance.choices(range(len(WORDS_ZH)), k=2)
        verb = chance.randrange(len(VERBS_ZH))
        yield (
            f"Line {number}: {WORDS_EN[word]} {VERBS_EN[verb]} {WORDS_EN[other]}.",
            f"第{number}行：{WORDS_ZH[word]}{VERBS_ZH[verb]}{WORDS_ZH[other]}。",
        )


def _sentence(chance: random.Random, subject: str) -> str:
    word, other = chance.choices(SUBJECTS[subject], k=2)
    return f"The {word} {chance.choice(VERBS)} the {other} of {chance.choice(PLACES)}."


def _sentence_zh(chance: random.Random) -> str:
    word, other = chance.choices(WORDS_ZH, k=2)
    return f"{word}{chance.choice(VERBS_ZH)}{other}。"
