"""From HTML fragments to plain text."""

import html
import re

_ITEM = re.compile(r"\s*<li\b[^>]*>\s*", re.IGNORECASE)
_BLOCK = re.compile(r"\s*</?(?:p|br|div|ul|ol|dl|dt|dd|note|important|h\d|pre|table|tr)\b[^>]*>\s*", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^>]*>")
_SPACES = re.compile(r"[ \t\u00a0]+")
_LINES = re.compile(r"\s*\n\s*")
_LONE_BULLET = re.compile(r"^-\n", re.MULTILINE)  # from a paragraph inside a list item


def plain(fragment: str) -> str:
    """The text of a fragment: blocks and list items on lines of their own, entities resolved."""
    text = _BLOCK.sub("\n", _ITEM.sub("\n- ", fragment))
    text = html.unescape(_TAG.sub("", text))
    lines = _LINES.sub("\n", _SPACES.sub(" ", text)).strip()
    return _LONE_BULLET.sub("- ", lines)


def one_line(fragment: str) -> str:
    """The text of a fragment without line breaks."""
    return " ".join(plain(fragment).split())
