"""Named entities: from tags of tokens or from spans of characters to one line for each entity."""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from components.core.errors import BadData

NONE = "-"  # the target of a text without entities
OUTSIDE = "O"
BEGINNINGS, ENDINGS = frozenset("BSU"), frozenset("ESLU")  # of BIO, IOBES and BILOU
PREFIXED = re.compile(r"([BIESLU])-(.+)", re.DOTALL)
_CJK = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")  # scripts that are written without spaces

_LINE_BREAK = re.compile(r"[\n\r\v\f\x85\u2028\u2029]")


class Span(NamedTuple):
    """An entity: the characters from `start` up to `end` of a text."""

    start: int
    end: int
    label: str


class Entities(NamedTuple):
    """A text, and its entities in order of appearance."""

    text: str
    spans: list[Span]

    def target(self) -> str:
        """`LABEL: surface` in a line for each entity, or `-`."""
        return "\n".join(f"{span.label}: {self.text[span.start : span.end]}" for span in self.spans) or NONE


def from_tags(tokens: Sequence[str], tags: Sequence[str], place: str) -> Entities:
    """The text of the tokens, and the entities of their BIO, IOBES, BILOU or bare (IO) tags. Raises `BadData`."""
    if len(tokens) != len(tags):
        raise BadData(f"{place}: {len(tokens)} tokens and {len(tags)} tags")
    text, places = _join(tokens)
    spans = [Span(places[first][0], places[last][1], label) for first, last, label in _runs(tags)]
    return _checked(text, spans, place)


def from_spans(text: str, listed: Iterable[object], place: str) -> Entities:
    """The entities of a list of `{start, end, label}` or of `[start, end, label]`, in characters. Raises `BadData`.

    White space at the ends of a span is left out.
    """
    spans = sorted(
        _trimmed(text, _span(text, span, f"{place}, span {number}")) for number, span in enumerate(listed, start=1)
    )
    for before, after in itertools.pairwise(spans):
        if after.start < before.end:
            found = " and ".join(f"{text[span.start : span.end]!r} ({span.label})" for span in (before, after))
            raise BadData(f"{place}: the spans {found} overlap, which a list of entities cannot tell")
    return _checked(text, spans, place)


def _checked(text: str, spans: list[Span], place: str) -> Entities:
    """The entities, each on one line: line breaks inside one become spaces, in the text too."""
    for start, end, label in spans:
        if not text[start:end].strip():
            raise BadData(f"{place}: an entity {label!r} at character {start} is blank")
        if not label.strip() or re.search(r"[:\n]", label):
            raise BadData(f"{place}: the label {label!r} is empty or has a colon or a line break")
        text = text[:start] + _LINE_BREAK.sub(" ", text[start:end]) + text[end:]
    return Entities(text, spans)


def _runs(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """First and last token of each entity, and its label."""
    runs: list[tuple[int, int, str]] = []
    ended = True
    for number, tag in enumerate(tags):
        found = PREFIXED.fullmatch(tag)
        prefix, label = found.groups() if found else ("I", tag)
        first, last, before = runs[-1] if runs else (0, -1, "")
        if label == OUTSIDE:
            continue
        if last == number - 1 and label == before and prefix not in BEGINNINGS and not ended:
            runs[-1] = first, number, label
        else:
            runs.append((number, number, label))
        ended = prefix in ENDINGS
    return runs


def _join(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The tokens as a text, and the place of each: with spaces, but none between two of a script without them."""
    text, places = "", []
    for token in tokens:
        if text and token and not (_CJK.match(text[-1]) and _CJK.match(token[0])):
            text += " "
        places.append((len(text), len(text) + len(token)))
        text += token
    return text, places


def _span(text: str, span: object, place: str) -> Span:
    if isinstance(span, Mapping):
        values, said = [span.get(name) for name in Span._fields], span.get("text")
    elif isinstance(span, Sequence) and not isinstance(span, str):
        values, said = list(span), None
    else:
        values, said = [], None
    if len(values) != len(Span._fields) or [type(value) for value in values] != [int, int, str]:
        raise BadData(f"{place}: {span!r} has no start and end, in characters, and label")
    found = Span(*values)  # type: ignore[arg-type]  # whose types the line above checks
    if not 0 <= found.start < found.end <= len(text):
        raise BadData(f"{place}: {found.start} to {found.end} is no part of a text of {len(text)} characters")
    if said is not None and said != text[found.start : found.end]:
        raise BadData(
            f"{place}: its text is {said!r}, but the characters {found.start} to {found.end} are "
            f"{text[found.start : found.end]!r}: offsets count characters, from 0"
        )
    return found


def _trimmed(text: str, span: Span) -> Span:
    surface = text[span.start : span.end]
    start = span.start + len(surface) - len(surface.lstrip())
    return Span(start, start + len(surface.strip()), span.label)
