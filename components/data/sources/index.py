"""Pinned files of the Python package index that pip is configured for, kept by their sha256."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, PyPISimple
from pypi_simple.classes import DistributionPackage

from components.core import files
from components.core.errors import BadData, BadSettings, TryAgain
from components.core.files import STATE

DOWNLOADS = STATE / "downloads"
TIMEOUT = 60.0  # seconds without an answer


def fetch(project: str, filename: str, sha256: str, where: str) -> Path:
    """The file of a project, from the local downloads or else from the index.

    `where` starts every error line. Raises `BadData` for another hash, `BadSettings` for a file that the index
    does not have, `TryAgain` when the index does not answer.
    """
    kept = DOWNLOADS / sha256 / filename
    if not kept.exists() or files.sha256(kept) != sha256:
        _download(project, filename, sha256, kept, where)
    return kept


def _download(project: str, filename: str, sha256: str, target: Path, where: str) -> None:
    part = target.with_name(f"{filename}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    address, credentials = _index()
    try:
        with PyPISimple(address, auth=credentials) as index:
            package = _find(index, project, filename, where)
            index.download_package(package, part, verify=False, timeout=TIMEOUT)
    except requests.RequestException as error:
        part.unlink(missing_ok=True)
        raise TryAgain(
            f"{where}: cannot get {filename} from the package index {address} ({type(error).__name__}): "
            "check the network or pip's index-url, then run again"
        ) from error
    found = files.sha256(part)
    if found != sha256:
        part.unlink()
        raise BadData(
            f"{where}: {filename} has the sha256 {found}, pinned is {sha256}: the file is not the one that was pinned"
        )
    part.replace(target)


def _find(index: PyPISimple, project: str, filename: str, where: str) -> DistributionPackage:
    try:
        page = index.get_project_page(project, timeout=TIMEOUT)
    except NoSuchProjectError:
        raise BadSettings(f"{where}: the package index {index.endpoint} has no project {project}") from None
    for package in page.packages:
        if package.filename == filename:
            return package
    raise BadSettings(f"{where}: the package index {index.endpoint} has no file {filename} of the project {project}")


def _index() -> tuple[str, tuple[str, str] | None]:
    """The index URL that pip would use, and the name and password that it contained."""
    parts = urlsplit(os.environ.get("PIP_INDEX_URL") or _configured() or PYPI_SIMPLE_ENDPOINT)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if parts.username is None:
        return address, None
    return address, (unquote(parts.username), unquote(parts.password or ""))


def _configured() -> str | None:
    """The index URL in pip's configuration files, read by pip itself: their location differs between systems."""
    command = [sys.executable, "-m", "pip", "config", "list"]  # `config get` reads only one of the files
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("global.index-url", "").strip("'") or None
