"""Requests that the challenger is asked too, when the champion has answered; nobody waits for what it says."""

import asyncio
import logging
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from components.api.challenger import Challenger
from components.api.errors import ApiError
from components.api.events import EventStream
from components.api.loaded import Loaded
from components.traffic.served import Served

if TYPE_CHECKING:
    from components.api.exchange import House, Work

log = logging.getLogger("lmforge.api")

AT_A_TIME = 2  # others are skipped, so that answers to users keep the processor


class Shadows:
    """The shadows under way."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    def ask(self, house: "House", work: "Work", challenger: Challenger, served: Served) -> None:
        """Ask the challenger what the champion has answered, if the request is of the share."""
        share, version = house.settings.shadow, challenger.version
        if share is None or version is None or random.random() >= share:
            return
        if len(self._under_way) >= AT_A_TIME:
            challenger.comparison.skipped += 1
            return
        task = asyncio.create_task(_ask(house, work, version, challenger, served))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """End them."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)


async def _ask(house: "House", work: "Work", version: Loaded, challenger: Challenger, served: Served) -> None:
    comparison, said = challenger.comparison, list[Served]()  # by then there may be another challenger
    with version.answering():
        try:
            async with asyncio.timeout(house.settings.timeout_seconds):
                response = await work(replace(house, ended=said.append), version)
                if isinstance(response, EventStream):
                    await response.read_all()
        except (ApiError, TimeoutError) as error:
            log.info("the challenger fails where the champion answers: %s", error)
        except Exception:  # of any kind: it is no answer that somebody waits for
            log.exception("the challenger fails where the champion answers")
    comparison.add(served, said[0] if said else None)
