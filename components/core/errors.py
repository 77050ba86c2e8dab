"""Errors that a person can act on, and the exit codes of commands and stages."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StageError(Exception):
    """An error that a person can act on: its text says what is wrong, where, and what to do."""

    code = 1


class BadSettings(StageError):
    """`params.yaml` or `data/sources.yaml` asks for something invalid or impossible."""

    code = 2


class BadData(StageError):
    """The data are not what the stage accepts."""

    code = 3


class RefusedTurns(BadData):
    """A chat template does not take the turns of a conversation."""


class TryAgain(StageError):
    """Something outside is unavailable for now: disk space, a server, the network.

    docs/decisions.md, "Only exit code 75 is tried again"
    """

    code = 75


@contextmanager
def reporting_full_disk() -> Iterator[None]:
    """Context manager that raises `TryAgain` when the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = error.filename or Path.cwd()
        raise TryAgain(f"no space left on the disk ({where}): free some, then run again") from error
