"""What an export is proved on: texts, conversations, prompts and rows of tokens; the same each time.

Half of the texts are test documents where the folder has some; the rest is code of Python's own library, and Chinese,
emoji and any other characters drawn at random.
"""

import itertools
import random
import sysconfig
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.data.tables import shards
from components.tokenizer.tokenizer import Message, Tokenizer

SOME = 64  # prompts and rows, which take longer than texts; fewer of few texts
CHARACTERS = 400  # of a text, at most
EMOJI = ("👍🏽", "👩‍👩‍👧‍👦", "🇩🇪", "🏴‍☠️", "❤️", "😀", "🤷🏿‍♀️", "1️⃣", "🫠", "\u200d", "\ufe0f")
PLANES = ((0x20, 0x2FFF), (0x3000, 0xD7FF), (0xE000, 0x1F9FF), (0x20000, 0x2A6DF))


@dataclass(frozen=True)
class Material:
    """What is compared. A prompt leaves room for an answer of `answer_tokens`; rows fit into the window."""

    texts: dict[str, list[str]]  # by their kind
    conversations: list[list[Message]]
    prompts: list[list[int]]
    rows: list[list[int]]  # of the documents where there are some
    answer_tokens: int
    stop: frozenset[int]
    window: int


def collect(prepared: Path, tokenizer: Tokenizer, count: int, window: int) -> Material:
    """About `count` texts, and what is made of some of them. `prepared`: the prepared data, which may be missing."""
    texts = take(prepared, tokenizer.special_names.values(), count)
    first = texts.get("documents") or texts["code"]
    answer_tokens, few = min(32, window // 4), min(SOME, count // 10)
    room = window - answer_tokens
    asked = [[_said("user", text[:80])] for text in _spread(first, few // 2)]
    prompts = [tokenizer.chat_prompt(turns) for turns in asked]
    prompts += [
        [tokenizer.start_of_text, *tokenizer.encode(text)][: min(16, room)] for text in _spread(first, few // 2)
    ]
    return Material(
        texts=texts,
        conversations=[list(_conversation(three)) for three in _threes(texts)],
        prompts=[prompt for prompt in prompts if len(prompt) <= room],
        rows=[[tokenizer.start_of_text, *tokenizer.encode(text)][:window] for text in _spread(first, few)],
        answer_tokens=answer_tokens,
        stop=frozenset((tokenizer.end_of_turn, tokenizer.end_of_text)),
        window=window,
    )


def take(prepared: Path, special: Collection[str], count: int) -> dict[str, list[str]]:
    """`count` texts by their kind. None has the name of a special token, which others do not take as text."""
    drawn = random.Random(1)
    documents = list(itertools.islice(_plain(_documents(prepared), special), count // 2))
    quarter = count // 4
    texts = {
        "documents": documents,
        "chinese": [_chinese(drawn) for _ in range(quarter // 3)],
        "emoji": [_emoji(drawn) for _ in range(quarter // 3)],
        "unicode": [_any(drawn) for _ in range(quarter // 3)],
    }
    missing = count - sum(map(len, texts.values()))
    texts["code"] = list(itertools.islice(_plain(_code(), special), missing))
    return {kind: found for kind, found in texts.items() if found}


def _plain(texts: Iterator[str], special: Collection[str]) -> Iterator[str]:
    return (text for text in texts if text.strip() and not any(name in text for name in special))


def _documents(prepared: Path) -> Iterator[str]:
    """The beginnings of the test documents, of all shards."""
    for batch in shards.batches(prepared / "documents" / "test"):
        yield from (text[:CHARACTERS] for text in batch["text"].to_pylist())


def _code() -> Iterator[str]:
    """Pieces of the files of Python's library, in order."""
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        text = file.read_text(encoding="utf-8")
        yield from (text[start : start + CHARACTERS] for start in range(0, len(text), CHARACTERS))


def _chinese(drawn: random.Random) -> str:
    characters = [chr(drawn.randint(0x4E00, 0x9FA5)) for _ in range(drawn.randint(1, 60))]
    for place in range(0, len(characters), 9):
        characters[place] += drawn.choice("，。！？、「」 \n0123abc")
    return "".join(characters)


def _emoji(drawn: random.Random) -> str:
    words = ("ok ", "it's ", "  ", "\n\n", "\t", "3.14", "don't", "C++", "…", " 好")
    return "".join(drawn.choice(EMOJI + words) for _ in range(drawn.randint(1, 30)))


def _any(drawn: random.Random) -> str:
    """Characters of all planes. Those that Python does not know are left out: versions of Unicode differ in them."""
    points = (drawn.randint(*drawn.choice(PLANES)) for _ in range(drawn.randint(1, 60)))
    return "".join(chr(point) for point in points if unicodedata.category(chr(point)) not in ("Cn", "Cs", "Co"))


def _spread(texts: Sequence[str], count: int) -> list[str]:
    """Evenly spaced texts, at most `count`."""
    return list(texts[:: -(-len(texts) // count)])


def _threes(texts: dict[str, list[str]]) -> Iterator[tuple[str, ...]]:
    """Texts of one kind, three at a time, up to 50 times for each."""
    for found in texts.values():
        yield from itertools.islice(zip(found[::3], found[1::3], found[2::3], strict=False), 50)


def _conversation(texts: Sequence[str]) -> Iterator[Message]:
    first, second, third = texts
    yield _said("user", first)
    yield _said("assistant", second)
    yield _said("user", third)


def _said(role: Literal["user", "assistant"], content: str) -> Message:
    return Message(role=role, content=content)
