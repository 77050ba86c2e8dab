"""Repairs what killed processes and bad disks leave of DVC's files, before anything is read from them.

Together with `flows.dvc.graph` the only adapter to DVC. All functions expect the caller to hold the repository's lock.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
from dvc.dvcfile import LOCK_FILE, Lockfile
from dvc.fs import localfs
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLockFileCorruptedError, _edit_rwlock
from dvc.utils.serialize import ParseError
from dvc.utils.strictyaml import YAMLValidationError

from components.core.errors import BadSettings
from flows import console
from flows.dvc import conflict


def put_in_order(repo: Repo) -> None:
    """Repair the files that DVC writes in place, which a kill at the wrong moment leaves truncated or empty."""
    try:
        _release_dead(repo)
    except RWLockFileCorruptedError:  # found under its guard lock, so no process is writing it, and none can use it
        (Path(repo.tmp_dir) / RWLOCK_FILE).unlink()
    _set_torn_record_aside(repo)


def drop_damaged(stages: Iterable[Any]) -> list[str]:
    """Remove the outs of stages that are damaged in DVC's cache, there and in the folder; returns their paths.

    DVC itself trusts an object that is read-only, whatever its content.
    """
    damaged = []
    for out in (out for stage in stages for out in stage.outs):
        if not (out.use_cache and out.hash_info and out.cache.exists(out.hash_info.value)):
            continue
        bad = [path for path in _objects(out) if not _is_whole(path)]
        for path in bad:
            path.unlink()
        if bad:
            out.remove()
            damaged.append(str(out))
    return damaged


def _release_dead(repo: Repo) -> None:
    """Drop the locks of killed processes: another process may have their number by now, and DVC would wait for it."""
    with _edit_rwlock(repo.tmp_dir, localfs, repo.config["core"].get("hardlink_lock", False)) as lock:
        lock["write"] = {path: holder for path, holder in lock["write"].items() if _is_alive(holder)}
        lock["read"] = {path: list(filter(_is_alive, holders)) for path, holders in lock["read"].items()}


def _is_alive(holder: Mapping[str, Any]) -> bool:
    _, *arguments = holder["cmd"].split(" ")
    try:
        return " ".join(psutil.Process(holder["pid"]).cmdline()).endswith(" ".join(arguments))
    except psutil.NoSuchProcess:
        return False


def _set_torn_record_aside(repo: Repo) -> None:
    """Move a truncated `dvc.lock` aside: DVC restores it from its run cache. Raises `BadSettings` on a merge conflict.

    docs/decisions.md, "A torn `dvc.lock` is put aside, not refused"
    """
    record, aside = Path(repo.root_dir) / LOCK_FILE, Path(repo.tmp_dir) / f"{LOCK_FILE}.torn"
    if record.exists() and _is_torn(repo, record):
        record.replace(aside)
        console.say(LOCK_FILE, f"was torn, as by a kill: put aside as {aside}, and made again from DVC's cache")


def _is_torn(repo: Repo, record: Path) -> bool:
    """Whether it was cut within a line, which may now parse as something else, or where DVC's schema needs more."""
    text = record.read_text(errors="replace")
    if conflict.is_in(text):
        raise BadSettings(f"{LOCK_FILE} has a conflict of git: {conflict.ADVICE}, then run again")
    if not text.endswith("\n"):
        return True
    try:
        Lockfile(repo, str(record)).load()
    except (ParseError, YAMLValidationError):
        return True
    return False


def _objects(out: Any) -> Iterator[Path]:
    """The cache files of an out; for a folder whose listing is damaged, only that listing."""
    path = Path(out.cache.oid_to_path(out.hash_info.value))
    yield path
    if out.hash_info.isdir and _is_whole(path):
        files = (Path(out.cache.oid_to_path(info.value)) for _, _, info in out.get_obj())
        yield from filter(Path.exists, files)


def _is_whole(path: Path) -> bool:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "md5").hexdigest() == (path.parent.name + path.stem)
