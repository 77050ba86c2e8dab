"""Exact duplicates, found by digests: 16 bytes per text, whatever its length."""

from hashlib import blake2b


class SeenTexts:
    """Remembers texts. The chance that two different ones among a billion collide is below 1e-20."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def add(self, text: str) -> bool:
        """Add a text; returns whether it is new."""
        digest = blake2b(text.encode(), digest_size=16).digest()
        if digest in self._digests:
            return False
        self._digests.add(digest)
        return True
