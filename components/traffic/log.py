"""Keeps a share of the answers, without anybody waiting for it: a queue of limited length, and a thread that writes.

What does not fit the queue, or the disk, is dropped and counted. Personal data are masked as `prepare` masks them.
"""

import json
import logging
import queue
import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.data.privacy.masking import mask
from components.traffic import files, users
from components.traffic.files import ANSWERS, FEEDBACK, FOLDER, SCHEMAS, Limits
from components.traffic.served import Served
from components.traffic.settings import KeepAnswers

logger = logging.getLogger(__name__)

QUEUED = 500  # requests that wait for the thread; they hold at most so many bodies in memory
WRITE_EVERY = 5.0  # seconds
BATCH = 1000  # rows that are written at once
MEGABYTE = 1e6


@dataclass
class Outcomes:
    """How many answers were written, and dropped for a full queue or by the disk."""

    written: int = 0
    queue_full: int = 0
    not_written: int = 0


@dataclass(frozen=True)
class Verdict:
    """What a user says about an answer."""

    id: str
    choice: int
    thumb: str | None
    corrected: str | None
    consent: bool
    user: str | None


@dataclass
class Log:
    """The kept answers of a folder."""

    settings: KeepAnswers
    folder: Path = FOLDER
    outcomes: Outcomes = field(default_factory=Outcomes)

    def __post_init__(self) -> None:
        self._limits = Limits(self.settings.file_megabytes * MEGABYTE, self.settings.max_megabytes * MEGABYTE)
        self._waiting: queue.Queue[tuple[datetime, Served] | None] = queue.Queue(QUEUED)
        self._unwritten: set[str] = set()  # ids of requests that will be written
        self._well = True
        self._thread = threading.Thread(target=self._work, name="request log", daemon=True)
        self._thread.start()

    def keep(self, served: Served) -> None:
        """Keep a request, if it is of the share; returns at once, whatever the disk does."""
        if random.random() >= self.settings.share:
            return
        self._unwritten.add(served.id)
        try:
            self._waiting.put_nowait((datetime.now(UTC), served))
        except queue.Full:
            self._unwritten.discard(served.id)
            self.outcomes.queue_full += len(served.answers)

    def has(self, identity: str, choice: int) -> bool:
        """Whether an answer is kept, or is about to be."""
        return identity in self._unwritten or files.has(self.folder, identity, choice)

    def judge(self, verdict: Verdict) -> None:
        """Keep what a user says about an answer. Raises `OSError` when that cannot be written."""
        row = {
            **vars(verdict),
            "time": datetime.now(UTC),
            "corrected": None if verdict.corrected is None else mask(verdict.corrected).text,
            "user": self._user(verdict.user),
        }
        files.append(self.folder, FEEDBACK, pa.Table.from_pylist([row], SCHEMAS[FEEDBACK]), self._limits)

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        rows: list[dict[str, Any]] = []
        due, going = time.monotonic() + WRITE_EVERY, True
        while going:
            with suppress(queue.Empty):
                found = self._waiting.get(timeout=max(0.0, due - time.monotonic()))
                going = found is not None
                rows += self._masked(*found) if found else ()
            if not going or len(rows) >= BATCH or time.monotonic() >= due:
                self._write(rows)
                rows, due = [], time.monotonic() + WRITE_EVERY

    def _masked(self, when: datetime, served: Served) -> Iterator[dict[str, Any]]:
        """The rows of a request; none when they cannot be made, as where users cannot get their pseudonyms."""
        try:
            user = self._user(served.user)
            for choice, said in enumerate(served.answers):
                turns = [{"role": turn["role"], "content": mask(str(turn["content"])).text} for turn in said.turns]
                yield {
                    "id": served.id,
                    "choice": choice,
                    "time": when,
                    "route": served.route,
                    "task": served.task,
                    "model": served.model,
                    "version": served.version,
                    "digest": served.digest,
                    "seconds": served.seconds,
                    "prompt_tokens": served.prompt_tokens,
                    "answer_tokens": said.tokens,
                    "finish_reason": said.reason,
                    "prompt": json.dumps(turns, ensure_ascii=False),
                    "answer": mask(said.text).text,
                    "user": user,
                }
        except Exception as error:  # a text of any form: the thread goes on
            self._failed(error, [served.id], len(served.answers))

    def _user(self, user: str | None) -> str | None:
        return None if not user else users.pseudonym(self.folder, user)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        ids = [row["id"] for row in rows]
        try:
            table = pa.Table.from_pylist(rows, SCHEMAS[ANSWERS])
            self.outcomes.written += files.append(self.folder, ANSWERS, table, self._limits)
        except Exception as error:  # a full disk, a folder that is gone, a file that was damaged
            self._failed(error, ids, len(rows))
            return
        self._unwritten.difference_update(ids)
        self._well = True

    def _failed(self, error: Exception, ids: list[str], rows: int) -> None:
        """Count what is dropped; a warning is given once, until it works again."""
        self._unwritten.difference_update(ids)
        self.outcomes.not_written += rows
        if self._well:
            logger.warning("answers are not kept: %s", " ".join(str(error).split()))
        self._well = False
