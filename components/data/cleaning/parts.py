"""Long documents as parts: cut at the borders of paragraphs or, where one is too long, of lines, sentences, words."""

import re
from collections.abc import Iterator

_BORDERS = (  # from the coarsest to the finest; a match ends where a part may end
    re.compile(r"\n\n+"),
    re.compile(r"\n"),
    re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？][”’」』）]*"),
    re.compile(r"\s+"),
)
_SPACE = re.compile(r"\s*")


def parts(text: str, max_characters: int) -> list[str]:
    """Parts that, joined, are the text: each of at most `max_characters`, white space at its end apart.

    A part ends at the last border of the coarsest kind in the second half of what fits, or else after `max_characters`.
    None is blank unless the text is.
    docs/decisions.md, "Long documents are divided"
    """
    return list(_parts(text, max_characters))


def _parts(text: str, limit: int) -> Iterator[str]:
    start = 0
    while len(text) - start > limit:
        end = _skip_space(text, _border(text, start, limit))
        if end == len(text):
            break
        yield text[start:end]
        start = end
    yield text[start:]


def _border(text: str, start: int, limit: int) -> int:
    """Where the part that begins at `start` ends."""
    for border in _BORDERS:
        ends = [match.end() for match in border.finditer(text, start + limit // 2, start + limit)]
        if ends:
            return ends[-1]
    return start + limit


def _skip_space(text: str, place: int) -> int:
    """The place after the white space that begins there: it belongs to the part before."""
    match = _SPACE.match(text, place)
    return match.end() if match else place
