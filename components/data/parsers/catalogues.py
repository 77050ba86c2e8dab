"""Message catalogues of programs: messages, and their translations into another language."""

import re
from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from components.data.sources.archive import Archive
from components.data.tables.records import Document, Example, Record

MIN_WORDS = 2

# A line of an entry: a keyword and its quoted string, or the continuation of the string on the line before.
_LINE = re.compile(r'^(?:(msg[a-z_]+)(?:\[\d\])?\s+)?"(.*)"\r?$', re.MULTILINE)
_ESCAPE = re.compile(r"\\(.)")
_CONTROL = {"n": "\n", "r": "\r", "t": "\t"}
_PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[A-Za-z%]|\{[^{}]*\}|</?\w[^>]*>")  # %(name)s, %d; {0}, {name}; tags
_WORD = re.compile(r"[^\W\d_]+")


class CatalogueMessage(NamedTuple):
    """A message of the program, and its translation."""

    text: str
    translation: str


def parse(archive: Archive, members: str, tasks: tuple[str, ...], max_characters: int) -> Iterator[Record]:
    """Yield each message once: as an example of translating it (the first of `tasks`) or back (the second).

    A hash of its words decides, so that no answer of one task is a training text of the other. Messages of one word or
    more than `max_characters` are left out, and those that are not translated or whose translation lacks a placeholder.
    docs/decisions.md, "A pair is translated in one direction only"
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


def parse_pages(archive: Archive, members: str, messages_per_document: int) -> Iterator[Record]:
    """Documents of the translations in a catalogue, each once, some on a page, a line each."""
    seen: set[str] = set()
    for member in archive.names(members):
        said = [_on_one_line(message).translation for message in messages(archive.read(member).decode())]
        new = [text for text in dict.fromkeys(said) if text not in seen and len(_words(text)) >= MIN_WORDS]
        seen.update(new)
        for place in range(0, len(new), messages_per_document):
            yield Document(f"{member}/{place}", "\n".join(new[place : place + messages_per_document]))


def messages(catalogue: str) -> Iterator[CatalogueMessage]:
    """The translated messages of a `.po` file: no drafts ("fuzzy"), no obsolete ones.

    Of a message with a plural only the plural is taken, which names the number. The format is that of GNU gettext's
    manual (The Format of PO Files), with entries separated by empty lines, as all programs write them.
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
    """The words in lower case, without punctuation and placeholders."""
    return _WORD.findall(_PLACEHOLDER.sub(" ", text.lower()))


def _is_translated(text: str, translation: str) -> bool:
    """Whether the words changed and all placeholders are there."""
    placeholders = [Counter(_PLACEHOLDER.findall(part)) for part in (text, translation)]
    return placeholders[0] == placeholders[1] and _words(text) != _words(translation)
