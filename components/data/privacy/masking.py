"""Replaces personal data and secrets by placeholders of their kinds, which a model may learn to write instead.

One scan by RE2, whose time is linear in the text whatever that is, finds the lines that may hold something. The finders
look at those alone, a kind after the other.
docs/decisions.md, "Personal data by one scan and check digits"
"""

import re
import string
from collections import Counter
from typing import NamedTuple

import re2

from components.data.privacy import addresses, identities, phones, secrets
from components.data.privacy.finder import PLACEHOLDERS, Finder, replace

FINDERS: tuple[Finder, ...] = (*secrets.FINDERS, *addresses.FINDERS, *identities.FINDERS, *phones.FINDERS)
"""In the order in which they are applied: what could be of two kinds is of the first."""

# Every line in which a finder finds something has a match of one of these; most lines with a match hold nothing.
_CANDIDATE = re2.compile(
    "|".join(
        [
            r"[@＠]|(?i:[(\[{（［] ?at ?[)\]}）］])",
            r"[0-9０-９](?:[ ./—–．／－-]{0,3}[0-9０-９]){6}",
            r"[)）][ /—–／－-]{0,3}[0-9０-９](?:[ .－-]{0,2}[0-9０-９]){4}",
            r"(?:[0-9０-９]{1,3}[.．]){3}[0-9０-９]",
            r":[0-9A-Fa-f]{0,4}:",
            r"[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-[0-9A-Fa-f]{2}-|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}",
            r"[A-Z]{2}[0-9]{2}[ -]?[A-Z0-9]{4}|[A-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]|[A-Z]{6}[0-9]{2}",
            *secrets.BEGINNINGS,
        ]
    )
)
MAX_PASSES = 8  # over a line, so that none takes quadratic time
_NARROW = {code + 0xFEE0: code for code in map(ord, f"{string.ascii_letters}{string.digits}@.()[]+-_/")}
_WIDE = re.compile(f"[{''.join(map(chr, _NARROW))}]")


class MaskedText(NamedTuple):
    """A text with placeholders, and how many of each kind were set."""

    text: str
    counts: Counter[str]


def mask(text: str) -> MaskedText:
    """The text with a placeholder for each piece of personal data and each secret. Masked twice it stays the same."""
    counts: Counter[str] = Counter()
    if secrets.ARMOUR in text:
        text, keys = secrets.PRIVATE_KEY.subn(PLACEHOLDERS["private_key"], text)
        counts.update({"private_key": keys} if keys else {})
    data = text.encode()
    pieces, done = list[bytes](), 0
    while match := _CANDIDATE.search(data, done):
        start, end = data.rfind(b"\n", done, match.start()) + 1 or done, data.find(b"\n", match.end())
        end = len(data) if end < 0 else end
        pieces += [data[done:start], masked_line(data[start:end].decode(), counts).encode()]
        done = end
    return MaskedText(b"".join([*pieces, data[done:]]).decode() if pieces else text, counts)


def masked_line(line: str, counts: Counter[str]) -> str:
    """The line with placeholders: masked again while that finds more, such as a number that ran into one now masked."""
    for _ in range(MAX_PASSES):
        before, line = line, _masked_once(line, counts)
        if line == before:
            break
    return line


def _masked_once(line: str, counts: Counter[str]) -> str:
    plain = line if line.isascii() else _plain(line)
    for finder in FINDERS:
        if spans := list(finder.spans(plain)):
            counts[finder.kind] += len(spans)
            line = replace(line, spans, PLACEHOLDERS[finder.kind])
            plain = line if line.isascii() else _plain(line)
    return line


def _plain(line: str) -> str:
    """The line with the ASCII characters that its full-width ones stand for, one for one."""
    return line.translate(_NARROW) if _WIDE.search(line) else line
