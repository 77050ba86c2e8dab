"""What a kind of personal data looks like, and how its places in a line are found and replaced.

A line is looked at in its plain view: full-width digits, letters and marks as the ASCII characters they stand for, one
for one, so that a place in the view is the same place in the line.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

KINDS = (
    "private_key",
    "password",
    "jwt",
    "aws_key",
    "github_key",
    "openai_key",
    "api_key",
    "email",
    "mac",
    "ip",
    "iban",
    "credit_card",
    "us_ssn",
    "cn_id",
    "fr_id",
    "gb_id",
    "it_id",
    "es_id",
    "br_id",
    "in_id",
    "phone",
)

PLACEHOLDERS = {kind: f"<{kind}>" for kind in KINDS}
_ALL = tuple(PLACEHOLDERS.values())
_LONGEST = max(map(len, _ALL))
_JOINTS = ".:/-"  # what may stand between a number and its continuation


class Place(NamedTuple):
    """A place in a line, from a character up to another one."""

    start: int
    end: int


Verify = Callable[[re.Match[str]], Place | None]


@dataclass(frozen=True)
class Finder:
    """A kind, a pattern that matches a bounded number of characters, and what has to hold for a match.

    `verify` gives what of the match is to be replaced, or None. One of the `hints` is in every line with a match.
    """

    kind: str
    pattern: re.Pattern[str]
    verify: Verify
    hints: tuple[str, ...] = ("",)

    def spans(self, plain: str) -> Iterator[Place]:
        """The places of this kind in the plain view of a line, in time linear in the line."""
        if not any(hint in plain for hint in self.hints):
            return
        place = 0
        while match := self.pattern.search(plain, place):
            span = self.verify(match)
            if span and not _at_placeholder(plain, span):
                yield span
                place = span.end
            else:
                place = match.start() + 1


def whole(match: re.Match[str]) -> Place:
    """All of a match."""
    return Place(*match.span())


def value(match: re.Match[str]) -> Place:
    """The group `value` of a match."""
    return Place(*match.span("value"))


def when(holds: Callable[[str], bool]) -> Verify:
    """All of a match for whose text something holds."""
    return lambda match: whole(match) if holds(match[0]) else None


def replace(line: str, spans: list[Place], placeholder: str) -> str:
    """The line with placeholders for these places."""
    pieces, done = [], 0
    for start, end in spans:
        pieces += [line[done:start], placeholder]
        done = end
    return "".join([*pieces, line[done:]])


def _at_placeholder(plain: str, span: Place) -> bool:
    """Whether a place touches a placeholder: that may stand for what it continued, so it was no number by itself.

    Without this a second masking could find more than the first.
    """
    start = span.start - (plain[span.start - 1 : span.start] in _JOINTS)
    end = span.end + (plain[span.end : span.end + 1] in _JOINTS)
    return plain.endswith(_ALL, max(0, start - _LONGEST), max(0, start)) or plain.startswith(_ALL, end)
