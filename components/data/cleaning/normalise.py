"""One normal form for texts that mean the same: Unicode, control characters, white space."""

import re
import unicodedata

# Control characters, except tab and line feed, and invisible ones that only format: soft hyphen, zero-width
# space, direction marks, byte order mark. The zero-width joiners stay: they change what is read.
_INVISIBLE = r"\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff"
_LINE_ENDS = r"\r\x85\u2028\u2029"
_SPACES = r"\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_UNUSUAL = re.compile(f"[{_INVISIBLE}{_LINE_ENDS}{_SPACES}]")
_INSTEAD = re.compile(rf"(?P<end>\r\n?|[{_LINE_ENDS}])|(?P<space>[{_SPACES}])|[{_INVISIBLE}]")
# As in Unicode's stream-safe text (UAX 15): the time of NFC is quadratic in the marks that follow each other.
_MANY = 30  # marks
_MARK = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.combining(chr(code)))
_MARKS = re.compile(f"[{_MARK}]{{{_MANY + 1},}}")
_EMPTY_LINES = re.compile(r"\n{3,}")


def normalise(text: str) -> str:
    """The text in NFC, with `\\n` line ends, plain spaces, no control characters, at most one empty line in a row.

    Spaces inside a line stay as they are: in code and in tables they carry meaning. Applied twice it changes nothing.
    The time is linear in the text, whatever that is.
    """
    if _UNUSUAL.search(text):
        text = _INSTEAD.sub(_instead, text)
    if not unicodedata.is_normalized("NFC", text):
        text = _few_marks(unicodedata.normalize("NFC", _few_marks(text)))  # again, since a mark may become two
    if " \n" in text or "\t\n" in text:
        text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    if "\n\n\n" in text:
        text = _EMPTY_LINES.sub("\n\n", text)
    return text.strip()


def _few_marks(text: str) -> str:
    return _MARKS.sub(lambda match: match[0][:_MANY], text)


def _instead(match: re.Match[str]) -> str:
    return "\n" if match["end"] else " " if match["space"] else ""
