"""Files behind an address that fsspec knows (https, s3, gs, …), pinned to one content, kept among the downloads.

A download that broke off goes on where it was.
docs/decisions.md, "What a server says about a file is told by its kind"
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from components.core import files
from components.core.errors import BadData, BadSettings, StageError, TryAgain
from components.core.files import STATE

DOWNLOADS = STATE / "downloads"
PIECE = 1 << 23  # bytes of a request, so that a download that breaks off has lost no more
EXTRAS = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
SECRET = ("key", "secret", "token", "password", "credential")
"""Parts of the names of options that hold what does not belong into a file that git tracks."""
CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"}
"""Errors of botocore that are those of nobody's network, and have no base class of their own."""

StorageOptions = Mapping[str, str | int | bool]
"""What fsspec hands to a file system, such as `endpoint_url` and `profile` of s3fs."""


class Remote(NamedTuple):
    """A file behind an address: its file system, and its path there. `where` starts every error line."""

    address: str
    system: Any
    path: str
    where: str

    @classmethod
    def of(cls, address: str, options: StorageOptions | None, where: str) -> "Remote":
        """Raises `BadSettings` for an address or options that no file system takes."""
        import fsspec  # most runs have no address

        _check_secrets(address, options or {}, where)
        try:
            system, path = fsspec.core.url_to_fs(address, **(options or {}))
        except ImportError:
            package = EXTRAS.get(urlsplit(address).scheme, "the package that fsspec names")
            raise BadSettings(f"{where}: {address} needs {package}: .venv/bin/pip install {package}") from None
        except (TypeError, ValueError) as error:
            raise BadSettings(f"{where}: {address}: {_line(error)}") from None
        return cls(address, system, path, where)

    def info(self) -> dict[str, Any]:
        """What its server says about it now."""
        try:
            found: dict[str, Any] = self.system.info(self.path)
        except Exception as error:  # each file system has errors of its own
            raise self._failure(error, "does not answer, try again later") from error
        return found

    def files(self) -> list["Remote"]:
        """Those that a pattern fits, those in a folder, or itself. Raises `BadSettings` when there is none."""
        if "*" not in self.path and self.info().get("type") != "directory":
            return [self]
        try:
            found = (self.system.glob if "*" in self.path else self.system.find)(self.path, detail=True)
        except Exception as error:
            raise self._failure(error, "does not answer, try again later") from error
        names = [name for name, about in found.items() if about["type"] == "file"]
        if not names:
            raise BadSettings(f"{self.where}: there is no file {self.address}")
        return [self._replace(address=self.system.unstrip_protocol(name), path=name) for name in sorted(names)]

    def pieces(self, start: int) -> Iterator[bytes]:
        """Its content from a byte on."""
        try:
            with self.system.open(self.path, "rb", block_size=PIECE, cache_type="none") as stream:
                if start:
                    stream.seek(start)
                while piece := stream.read(PIECE):
                    yield piece
        except StageError:
            raise
        except Exception as error:
            raise self._failure(error, "broke off, run again") from error

    def _failure(self, error: Exception, outage: str) -> StageError:
        """What an error of a file system means for whoever has to mend it."""
        cause = error.__cause__
        names = {kind.__name__ for kind in type(error).__mro__}
        if isinstance(error, PermissionError) or names & CREDENTIALS or getattr(cause, "status", None) in (401, 403):
            return BadSettings(
                f"{self.where}: {self.address} may not be read: {_line(error)}: see that the credentials of the "
                "environment or of its profile are right, and may read it (docs/object-stores.md)"
            )
        if isinstance(error, FileNotFoundError) and not isinstance(cause, OSError | TimeoutError):
            # Of a server that is away fsspec says that a file is missing, too, and has the reason as its cause.
            bucket = f": {_line(error)}" if type(cause).__name__ == "NoSuchBucket" else ""
            return BadSettings(f"{self.where}: there is no file {self.address}{bucket}")
        if isinstance(error, TypeError | ValueError):
            return BadSettings(f"{self.where}: {self.address}: {_line(error)}")
        return TryAgain(f"{self.where}: {self.address} {outage}: {_line(error)}")


def fetch(address: str, sha256: str | None, etag: str | None, options: StorageOptions | None, where: str) -> Path:
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
        _download(Remote.of(address, options, where), etag, kept)
        if sha256 and (found := files.sha256(kept)) != sha256:
            kept.unlink()
            raise BadData(f"{where}: {address} has the sha256 {found}, pinned is {sha256}")
    return kept


def pinned(address: str, options: StorageOptions | None, where: str) -> list[dict[str, str]]:
    """The files at an address, a folder or a pattern, each with what pins it to its content of now.

    That is the `etag` of its server or, where it gives none, the `sha256`, for which it is read once. Raises
    `BadSettings` or `TryAgain`.
    """
    return [{"path": remote.address, **_pin(remote)} for remote in Remote.of(address, options, where).files()]


def _pin(remote: Remote) -> dict[str, str]:
    if etag := _etag(remote.info()):
        return {"etag": etag}
    total = hashlib.sha256()
    for piece in remote.pieces(0):
        total.update(piece)
    return {"sha256": total.hexdigest()}


def _download(remote: Remote, etag: str | None, kept: Path) -> None:
    size = _checked(remote, etag).get("size")
    part = kept.with_name(f"{kept.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as target:
        for piece in remote.pieces(target.tell()):
            target.write(piece)
    if size is not None and part.stat().st_size != size:
        part.unlink()
        raise TryAgain(f"{remote.where}: {remote.address} has not the {size:,} bytes that its server says: run again")
    try:
        if etag:
            _checked(remote, etag)  # it may have been replaced after the first look and before it was opened
    except BadData:
        part.unlink()
        raise
    part.replace(kept)


def _checked(remote: Remote, etag: str | None) -> dict[str, Any]:
    """What the server says about a file. Raises `BadData` when its etag is another one."""
    found = remote.info()
    if found.get("type") == "directory":
        raise BadSettings(f"{remote.where}: {remote.address} is a folder: `lmforge data add` names the files in it")
    if etag and _etag(found) != etag:
        raise BadData(f"{remote.where}: {remote.address} has changed: it has the etag {_etag(found)}, pinned is {etag}")
    return found


def _check_secrets(address: str, options: StorageOptions, where: str) -> None:
    """Raise `BadSettings` for credentials in the catalogue; the line does not have them."""
    secret = next((name for name in options if any(part in name.lower() for part in SECRET)), None)
    if secret or urlsplit(address).password:
        place = f"storage_options.{secret}" if secret else f"the address of {urlsplit(address).hostname}"
        raise BadSettings(
            f"{where}: {place} is a secret, and this file is for everybody: take it out, change it, and give it by the "
            "environment or a profile (docs/object-stores.md)"
        )


def _etag(found: dict[str, Any]) -> str | None:
    value = found.get("ETag") or found.get("etag")
    return str(value).strip('"') if value else None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
