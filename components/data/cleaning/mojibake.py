"""Repair of text that was decoded by the wrong encoding (`GrÃ¸nland`), by ftfy.

ftfy reads 5 to 15 MB/s. RE2 finds, at some 200 MB/s, the lines that it can change: those with bytes of UTF-8, or of
Windows-1252, read as characters of another encoding.
docs/decisions.md, "Mojibake is repaired line by line"
"""

from functools import cache
from typing import Any

import ftfy
import re2
from ftfy.chardata import CHARMAP_ENCODINGS

# Only the encoding is repaired: quotation marks, ligatures and HTML entities are text.
_CONFIG = ftfy.TextFixerConfig(unescape_html=False, fix_c1_controls=False)
_REPLACED = " \ufffd"  # what programs put for the bytes a0, a space that does not break, and those that no table has
_CONTROLS = r"[\x{80}-\x{9f}]"  # what Latin-1 has where Windows-1252 has quotation marks and dashes
_WITHOUT_REPLACED = "macroman"  # in which ftfy would take a dash and a space for a letter


def repair(text: str) -> str:
    """The text with the lines repaired that are mojibake; those of others are as they were."""
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
