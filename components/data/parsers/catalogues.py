"""Message catalogues of programs: what they say, and how translators say it in another language."""

import re
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from components.data.sources.archive import Archive
from components.data.tables.records import Example, Record

MIN_WORDS = 2

# A line of an entry: a keyword and its string in quotes, or more of the string that the line before began.
_LINE = re.compile(r'^(?:(msg[a-z_]+)(?:\[\d\])?\s+)?"(.*)"\r?$', re.MULTILINE)
_ESCAPE = re.compile(r"\\(.)")
_CONTROL = {"n": "\n", "r": "\r", "t": "\t"}
_PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[A-Za-z%]|\{[^{}]*\}|</?\w[^>]*>")  # %(name)s, %d; {0}, {name}; tags
_WORD = re.compile(r"[^\W\d_]+")


class CatalogueMessage(NamedTuple):
    """What the program says, and its translation."""

    text: str
    translation: str


def parse(archive: Archive, members: str, tasks: tuple[str, ...], max_characters: int) -> Iterator[Record]:
    """Each message once, as an example of translating it: the first of `tasks`, or of translating it back: the second.

    A hash of its words says which, so that no answer of the one task was taught by the other. Messages of one word or
    more than `max_characters` are left out, and those whose translation lacks a placeholder or was never made.
    """
    seen: set[str] = set()
    for member in archive.names(members):
        for text, translation in map(_on_one_line, messages(archive.read(member).decode())):
            words = _words(text)
            if len(words) < MIN_WORDS or len(text) > max_characters or not _is_translated(text, translation):
                continue
            said = " ".join(words)
            if said not in seen:
                seen.add(said)
                place = sha256(said.encode()).digest()[0] % len(tasks)
                source, target = (translation, text) if place else (text, translation)
                yield Example(text, tasks[place], {"text": source}, target)


def messages(catalogue: str) -> Iterator[CatalogueMessage]:
    """The messages of a `.po` file that are translated: no drafts ("fuzzy"), none that are no longer in use.

    Of one with a plural it is the plural, which names the number. The format is that of GNU gettext's manual
    (The Format of PO Files), entries being set apart by empty lines, as all programs write them.
    """
    for entry in re.split(r"\n\s*\n", catalogue):
        fields = _fields(entry)
        text, translation = fields.get("msgid_plural") or fields.get("msgid"), fields.get("msgstr")
        is_draft = re.search(r"^#,.*\bfuzzy\b", entry, re.MULTILINE)
        if text and translation and not is_draft:
            yield CatalogueMessage(text, translation)


def _fields(entry: str) -> dict[str, str]:
    """The strings of an entry by their keywords; of several translations the last, which is the plural's."""
    fields: dict[str, str] = {}
    field = ""
    for keyword, quoted in _LINE.findall(entry):
        if keyword:
            field = keyword
            fields[field] = ""
        fields[field] += _ESCAPE.sub(lambda match: _CONTROL.get(match[1], match[1]), quoted)
    return fields


def _on_one_line(message: CatalogueMessage) -> CatalogueMessage:
    return CatalogueMessage(*(" ".join(part.split()) for part in message))


def _words(text: str) -> list[str]:
    """The words without case, punctuation and placeholders."""
    return _WORD.findall(_PLACEHOLDER.sub(" ", text.lower()))


def _is_translated(text: str, translation: str) -> bool:
    """Whether the words changed and all placeholders are there."""
    placeholders = [Counter(_PLACEHOLDER.findall(part)) for part in (text, translation)]
    return placeholders[0] == placeholders[1] and _words(text) != _words(translation)
