"""The CIA World Factbook: country -> section -> field -> value."""

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from components.data.parsers.conversations import as_messages
from components.data.parsers.markup import one_line, plain
from components.data.sources.archive import Archive
from components.data.tables.records import MESSAGES, Document, Example, Record

_PARTS = re.compile(": |, ")  # between the parts of a field's name
NAMELESS = {"ee": "European Union", "xx": "World"}  # these two files do not contain their names


class Fact(NamedTuple):
    """One line of a section."""

    field: str
    value: str
    is_note: bool


def parse(archive: Archive, members: str, context_characters: int, answer_characters: int) -> Iterator[Record]:
    """Documents of whole fields, up to `context_characters` unless a single field is longer.

    Each document that has a field with a value of at most `answer_characters` also makes one question: the field's
    name, with the document as its context, so that both fall into the same split.
    docs/decisions.md, "Short contexts in the factbook"
    """
    for key, text, facts in _documents(archive, members, context_characters):
        yield Document(key, text)
        yield from _question(key, text, facts, answer_characters)


def parse_interviews(
    archive: Archive, members: str, context_characters: int, answer_characters: int, task: str, questions: int
) -> Iterator[Record]:
    """Conversations about the documents of `parse`, each with up to `questions` of its fields, at least two.

    The first message has the document, which also stands among the inputs, so that both fall into the same split.
    """
    for key, text, facts in _documents(archive, members, context_characters):
        asked = sorted(_short(facts, answer_characters), key=lambda fact: _hash(key, fact))[:questions]
        if len(asked) > 1:
            turns = [turn for fact in asked for turn in (fact.field, fact.value)]
            messages = as_messages([f"{text}\nQuestion: {turns[0]}", *turns[1:-1]])
            yield Example(key, task, {"context": text, MESSAGES: messages}, turns[-1])


def _documents(archive: Archive, members: str, characters: int) -> Iterator[tuple[str, str, list[Fact]]]:
    """Key, text and facts of each document."""
    for member in archive.names(members):
        profile = json.loads(archive.read(member))
        code = PurePosixPath(member).stem
        country = _name(profile, code)
        for section, fields in profile.items():
            header = f"{country} — {section}"
            for number, facts in enumerate(_pages(_facts(fields), characters - len(header))):
                text = "\n".join([header, *(f"{fact.field}: {fact.value}" for fact in facts)])
                yield f"{code}/{section}/{number}", text, facts


def _question(key: str, text: str, facts: list[Fact], answer_characters: int) -> Iterator[Example]:
    short = _short(facts, answer_characters)
    if short and len(facts) > 1:
        fact = min(short, key=lambda fact: _hash(key, fact))
        yield Example(key, "question_answering", {"context": text, "question": fact.field}, fact.value)


def _short(facts: list[Fact], answer_characters: int) -> list[Fact]:
    """The facts that can be asked for: short values of fields that stand in the document once."""
    names = [fact.field for fact in facts]
    return [
        fact
        for fact in facts
        if len(fact.value) <= answer_characters and not fact.is_note and names.count(fact.field) == 1
    ]


def _hash(key: str, fact: Fact) -> bytes:
    return sha256(f"{key}\n{fact.field}".encode()).digest()


def _pages(facts: list[Fact], characters: int) -> Iterator[list[Fact]]:
    page: list[Fact] = []
    size = 0
    for fact in facts:
        length = len(fact.field) + len(fact.value) + 3
        if page and size + length > characters:
            yield page
            page, size = [], 0
        page.append(fact)
        size += length
    if page:
        yield page


def _facts(fields: dict[str, Any]) -> list[Fact]:
    return [fact for name, value in fields.items() for fact in _walk(name.strip(), value)]


def _walk(name: str, value: Any) -> Iterator[Fact]:
    if isinstance(value, str):
        yield Fact(name, _value(name, value), is_note=True)
        return
    for part, content in value.items():
        if part == "text":
            yield Fact(name, _value(name, content), is_note=False)
        elif part == "note":
            yield Fact(f"{name}, note", one_line(content).removeprefix("note:").strip(), is_note=True)
        else:
            yield from _walk(_joined(name, part.strip()), content)


def _value(name: str, text: str) -> str:
    """The value, without the last part of the field's name, with which some values begin."""
    return plain(text).removeprefix(f"{_PARTS.split(name)[-1]}:").strip()


def _joined(field: str, part: str) -> str:
    return part if part.startswith(field) else f"{field}, {part}"


def _name(profile: dict[str, Any], code: str) -> str:
    if code in NAMELESS:
        return NAMELESS[code]
    names = profile["Government"]["Country name"]
    short = one_line(names["conventional short form"]["text"]) if "conventional short form" in names else "none"
    return short if short != "none" else one_line(names["conventional long form"]["text"])
