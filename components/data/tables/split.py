"""The split of a text: a function of the text alone, so that it never moves when others arrive.

docs/decisions.md, "The split is a hash of the text"
"""

from hashlib import sha256

from components.data.settings import Shares

SPLITS = ("train", "validation", "test")


def split_of(text: str, shares: Shares) -> str:
    """The split of a text, by its hash read as a number between 0 and 1."""
    position = int.from_bytes(sha256(text.encode()).digest()[:8]) / 2**64
    if position < shares.test:
        return "test"
    if position < shares.test + shares.validation:
        return "validation"
    return "train"
