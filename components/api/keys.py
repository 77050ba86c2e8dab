"""API keys: a file with a name and a hash on each line, read again when it changes.

Keys are drawn, not chosen, so that one round of SHA-256 is enough: nobody guesses 256 bits.
"""

import hashlib
import secrets
from pathlib import Path

from components.core.errors import BadSettings
from components.core.files import write_atomically

PREFIX = "lmf-"


class Keys:
    """The keys of a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: tuple[int, int] | None = None
        self._names: dict[str, str] = {}  # by hash
        self.owner("")  # a file that cannot be read is told at once

    def owner(self, key: str) -> str | None:
        """The name that a key was given to; None for an unknown key."""
        try:
            state = self._path.stat()
        except FileNotFoundError:
            raise BadSettings(f"{self._path} is not there: `lmforge serve-key NAME` makes it") from None
        version = state.st_mtime_ns, state.st_size
        if version != self._read_at:
            self._names, self._read_at = _read(self._path), version
        return self._names.get(_hash(key))


def create(path: Path, name: str) -> str:
    """Make a key for someone, and add its hash to the file; the key itself is kept nowhere.

    Raises `BadSettings` for a name that has a key already, or has white space.
    """
    known = _read(path) if path.exists() else {}
    if not name or any(character.isspace() for character in name):
        raise BadSettings(f"the name {name!r} should be a word")
    if name in known.values():
        raise BadSettings(f"{path} has a key of {name}: take its line out first, or choose another name")
    key = PREFIX + secrets.token_urlsafe(32)
    lines = [*(f"{owner} {digest}" for digest, owner in known.items()), f"{name} {_hash(key)}"]
    write_atomically(path, "\n".join(lines) + "\n")
    path.chmod(0o600)
    return key


def _read(path: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, digest = line.partition(" ")
        if len(digest) != 64:
            raise BadSettings(
                f"{path} line {number} should be a name and a hash, as `lmforge serve-key NAME` writes it"
            )
        names[digest] = name
    return names


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", errors="surrogateescape")).hexdigest()
