"""One normal form for texts that mean the same: encoding, Unicode, control characters, white space."""

import re
import unicodedata
from functools import cache
from typing import Any

import ftfy
import re2
from ftfy.chardata import CHARMAP_ENCODINGS

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
# Only the encoding is repaired: quotation marks, ligatures and HTML entities are text.
_CONFIG = ftfy.TextFixerConfig(unescape_html=False, fix_c1_controls=False)
_REPLACED = " \ufffd"  # what programs put for the bytes a0, a space that does not break, and those that no table has
_CONTROLS = r"[\x{80}-\x{9f}]"  # what Latin-1 has where Windows-1252 has quotation marks and dashes
_WITHOUT_REPLACED = "macroman"  # in which ftfy would take a dash and a space for a letter


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


def repair(text: str) -> str:
    """The text with the lines repaired that are mojibake (`GrÃ¸nland`); those of others are as they were.

    ftfy reads 5 to 15 MB/s. RE2 finds, at some 200 MB/s, the lines that it can change: those with bytes of UTF-8, or of
    Windows-1252, read as characters of another encoding.
    docs/decisions.md, "Mojibake is repaired line by line"
    """
    if text.isascii():
        return text
    data = text.encode()
    pieces, done = list[bytes](), 0
    while match := _damaged().search(data, done):
        start, end = data.rfind(b"\n", done, match.start()) + 1 or done, data.find(b"\n", match.end())
        end = len(data) if end < 0 else end
        pieces += [data[done:start], ftfy.fix_encoding(data[start:end].decode(), _CONFIG).encode()]
        done = end
    return b"".join([*pieces, data[done:]]).decode() if pieces else text


@cache
def _damaged() -> Any:
    """Matches two to four characters that one of ftfy's encodings has for the bytes of one in UTF-8, and controls."""
    following = {encoding: _class(encoding, 0x80, 0xBF) for encoding in CHARMAP_ENCODINGS}
    return re2.compile(
        "|".join(
            [
                _CONTROLS,
                *(
                    _class(encoding, low, high) + following[encoding] * count
                    for encoding in CHARMAP_ENCODINGS
                    for count, low, high in ((1, 0xC2, 0xDF), (2, 0xE0, 0xEF), (3, 0xF0, 0xF4))
                ),
            ]
        )
    )


def _class(encoding: str, low: int, high: int) -> str:
    """The class of the characters that an encoding has for bytes."""
    characters = bytes(range(low, high + 1)).decode(encoding, "ignore")
    if low == 0x80 and encoding != _WITHOUT_REPLACED:
        characters += _REPLACED
    return "[" + "".join(f"\\x{{{ord(character):x}}}" for character in characters) + "]"
