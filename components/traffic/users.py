"""Users are kept as pseudonyms: a keyed hash, as names and addresses of mail can be guessed from a plain one."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

KEY = "users.key"


def pseudonym(folder: Path, user: str) -> str:
    """The name of a user in the files of a folder; the same for the same user as long as its key is there."""
    return hmac.new(_key(folder / KEY), user.encode("utf-8", errors="replace"), hashlib.sha256).hexdigest()[:32]


def _key(path: Path) -> bytes:
    """The key of the folder, drawn at the first need; of two processes that draw one the first wins."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(secrets.token_bytes(32))
        part.chmod(0o600)
        try:
            os.link(part, path)
        except FileExistsError:
            pass
        finally:
            part.unlink()
    return path.read_bytes()
