"""Files behind an address that fsspec knows (https, s3, gs, …), pinned to one content, kept among the downloads.

A download that broke off goes on where it was.
"""

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from components.core import files
from components.core.errors import BadData, BadSettings, TryAgain
from components.core.files import STATE

DOWNLOADS = STATE / "downloads"
PIECE = 1 << 22
EXTRAS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


def fetch(address: str, sha256: str | None, etag: str | None, where: str) -> Path:
    """The file at an address, with the content of its pin, from the local downloads or else from its server.

    `where` starts every error line. Raises `BadSettings` without a pin or for an address that cannot be read,
    `BadData` when the content is another one, `TryAgain` when the server does not answer.
    """
    if (sha256 is None) == (etag is None):
        raise BadSettings(f"{where}: {address} needs a pin, its `sha256` or its `etag`: `lmforge data add` finds it")
    name = PurePosixPath(urlsplit(address).path).name or "content"
    pin = sha256 or hashlib.sha256(f"{address}\n{etag}".encode()).hexdigest()
    kept = DOWNLOADS / pin / name
    if not kept.exists():
        _download(address, etag, kept, where)
        if sha256 and (found := files.sha256(kept)) != sha256:
            kept.unlink()
            raise BadData(f"{where}: {address} has the sha256 {found}, pinned is {sha256}")
    return kept


def pin(address: str, where: str) -> dict[str, str]:
    """What pins an address to its content of now: the `etag` of its server or, where it gives none, the `sha256`.

    For the latter the file is read once. Raises `BadSettings` or `TryAgain`.
    """
    system, path = _system(address, where)
    if etag := _etag(_info(system, path, address, where)):
        return {"etag": etag}
    total = hashlib.sha256()
    try:
        with system.open(path, "rb") as stream:
            while piece := stream.read(PIECE):
                total.update(piece)
    except OSError as error:
        raise TryAgain(f"{where}: {address} broke off: {_line(error)}: run again") from error
    return {"sha256": total.hexdigest()}


def _download(address: str, etag: str | None, kept: Path, where: str) -> None:
    system, path = _system(address, where)
    found = _info(system, path, address, where)
    if etag and _etag(found) != etag:
        raise BadData(f"{where}: {address} has the etag {_etag(found)}, pinned is {etag}")
    part = kept.with_name(f"{kept.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    had = part.stat().st_size if part.exists() else 0
    size = found.get("size")
    try:
        with system.open(path, "rb") as stream, part.open("ab" if had else "wb") as target:
            if had:
                stream.seek(had)
            while piece := stream.read(PIECE):
                target.write(piece)
    except (OSError, ValueError) as error:
        raise TryAgain(f"{where}: {address} broke off: {_line(error)}: run again, it goes on from there") from error
    if size is not None and part.stat().st_size != size:
        part.unlink()
        raise TryAgain(f"{where}: {address} has not the {size:,} bytes that its server says: run again")
    part.replace(kept)


def _system(address: str, where: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it. Raises `BadSettings`."""
    import fsspec  # most runs have no address

    try:
        return fsspec.core.url_to_fs(address)  # type: ignore[no-any-return]  # fsspec has no types
    except ImportError:
        package = EXTRAS.get(urlsplit(address).scheme, "the package that fsspec names")
        raise BadSettings(f"{where}: {address} needs {package}: .venv/bin/pip install {package}") from None
    except ValueError as error:
        raise BadSettings(f"{where}: {address}: {_line(error)}") from None


def _info(system: Any, path: str, address: str, where: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = system.info(path)
    except FileNotFoundError as error:
        if isinstance(error.__cause__, OSError | TimeoutError):  # which fsspec takes for a missing file, too
            raise TryAgain(f"{where}: {address} does not answer, try again later: {_line(error.__cause__)}") from error
        raise BadSettings(f"{where}: there is no file {address}") from None
    except Exception as error:  # each file system has errors of its own
        raise TryAgain(f"{where}: {address} does not answer, try again later: {_line(error)}") from error
    return found


def _etag(found: dict[str, Any]) -> str | None:
    value = found.get("ETag") or found.get("etag")
    return str(value).strip('"') if value else None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
