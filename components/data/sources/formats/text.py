"""Texts, and sentences in CoNLL columns."""

from collections.abc import Sequence

from components.data.sources.datafile import DataFile, Numbered, RawRow, Unreadable
from components.data.sources.streams import decoded, opened, undecodable

DOCUMENT_START = "-DOCSTART-"


def text(file: DataFile) -> Numbered:
    """The file as one row, `text`."""
    found = decoded(file)
    reason = undecodable(found)
    yield 1, Unreadable(reason) if reason else {"text": found}


def conll(file: DataFile) -> Numbered:
    """A row for each sentence: a list for each column. Without names the columns are called 1, 2, 3, …"""
    names = file.options.columns
    sentence: list[list[str]] = []
    number = width = 0
    with opened(file) as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip("\n").split("\t") if "\t" in line else line.split()
            if any(fields) and fields[0] != DOCUMENT_START:
                width = width or len(names or fields)
                sentence.append(fields)
            elif sentence:
                yield number - 1, _sentence(sentence, names, width)
                sentence = []
    if sentence:
        yield number, _sentence(sentence, names, width)


def _sentence(tokens: list[list[str]], names: Sequence[str] | None, width: int) -> RawRow | Unreadable:
    wrong = next((token for token in tokens if len(token) != width), None)
    if wrong is not None:
        return Unreadable(f"{len(wrong)} columns at `{wrong[0]}`, not {width}")
    if reason := undecodable("".join(map("".join, tokens))):
        return Unreadable(reason)
    return dict(zip(names or map(str, range(1, width + 1)), map(list, zip(*tokens, strict=True)), strict=True))
