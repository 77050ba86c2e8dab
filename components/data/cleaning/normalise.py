"""One normal form for texts that mean the same: Unicode, control characters, white space."""

import re
import unicodedata

# Control characters, except tab and line feed, and invisible ones that only format: soft hyphen, zero-width
# space, direction marks, byte order mark. The zero-width joiners stay: they change what is read.
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]")
_LINE_ENDS = re.compile(r"\r\n?|[\x85\u2028\u2029]")
_SPACES = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_EMPTY_LINES = re.compile(r"\n{3,}")


def normalise(text: str) -> str:
    """The text in NFC, with `\\n` line ends, plain spaces, no control characters, at most one empty line in a row.

    Spaces inside a line stay as they are: in code and in tables they carry meaning. Applied twice it changes nothing.
    """
    text = _INVISIBLE.sub("", _LINE_ENDS.sub("\n", text))
    text = _SPACES.sub(" ", unicodedata.normalize("NFC", text))
    return _EMPTY_LINES.sub("\n\n", _TRAILING.sub("", text)).strip()
