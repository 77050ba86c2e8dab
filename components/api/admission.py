"""Who is answered when: so many requests at a time, so many waiting, so many a minute; all others are refused."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from components.api.errors import too_many

CALLERS = 10_000  # whose allowance is remembered


class Admission:
    """A number of slots, and a queue of limited length before them."""

    def __init__(self, max_concurrent: int, max_queued: int, max_wait_seconds: float) -> None:
        self._slots = asyncio.Semaphore(max_concurrent)
        self._max_concurrent, self._max_queued, self._max_wait = max_concurrent, max_queued, max_wait_seconds
        self.running = 0
        self.queued = 0
        self._mean_seconds = 1.0  # of an answer, the latest counting most

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and have it. Raises `ApiError` 429 when the queue is full, or the wait too long."""
        await self._wait()
        self.running += 1
        began = time.monotonic()
        try:
            yield
        finally:
            self.running -= 1
            self._mean_seconds += 0.1 * (time.monotonic() - began - self._mean_seconds)
            self._slots.release()

    async def _wait(self) -> None:
        if self._slots.locked() and self.queued >= self._max_queued:
            raise too_many(f"{self.running} requests are answered and {self.queued} wait: try again", self._expected())
        self.queued += 1
        try:
            async with asyncio.timeout(self._max_wait):
                await self._slots.acquire()
        except TimeoutError:
            raise too_many(f"no turn within {self._max_wait:g} s: try again", self._expected()) from None
        finally:
            self.queued -= 1

    def _expected(self) -> float:
        """The seconds until those who wait now have been answered."""
        return math.ceil((self.queued + 1) / self._max_concurrent) * self._mean_seconds


class Rate:
    """An allowance of requests for each caller, which fills up evenly; a minute's worth may be used at once."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # of each caller, and when it was so

    def take(self, caller: str) -> None:
        """Take one request from a caller's allowance. Raises `ApiError` 429 when nothing is left."""
        now, per_second = time.monotonic(), self._per_minute / 60
        left, since = self._left.pop(caller, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - since) * per_second)
        self._left[caller] = left - 1 if left >= 1 else left, now
        if len(self._left) > CALLERS:
            self._left.popitem(last=False)
        if left < 1:
            raise too_many(f"more than {self._per_minute} requests in a minute: try again", (1 - left) / per_second)
