"""One request and its answer: a turn, a version, a time limit, and a client that may go away."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from components.api import tracing
from components.api.admission import Admission
from components.api.challenger import Challenger
from components.api.errors import ApiError, timed_out
from components.api.events import EventStream
from components.api.live import Live
from components.api.loaded import Loaded
from components.api.metrics import Metrics
from components.api.settings import Serve
from components.api.shadow import Shadows
from components.traffic.evidence import TrialTurn
from components.traffic.log import Log
from components.traffic.served import Served

GATEWAY_TIMEOUT = 504

log = logging.getLogger("lmforge.api")

Work = Callable[["House", Loaded], Awaitable[Response]]
"""What a route does: the answer of a version. It calls `House.ended` when that is complete. Raises `ApiError`."""


@dataclass(frozen=True)
class House:
    """What all requests share; and who is told of an answer that has ended."""

    settings: Serve
    live: Live
    admission: Admission
    metrics: Metrics
    shadows: Shadows
    log: Log | None
    ended: Callable[[Served], None]

    async def answer(self, request: Request, model: str, work: Work) -> Response:
        """The answer of a version to a request; a client that goes away gives back its turn. Raises `ApiError`."""
        return await _while_connected(request, self._admitted(model, work))

    async def _admitted(self, model: str, work: Work) -> Response:
        async with AsyncExitStack() as held:
            with tracing.tracer.start_as_current_span(tracing.QUEUE):
                await held.enter_async_context(self.admission.slot())
            version = await held.enter_async_context(self.live.version(model))
            challenger = self.live.challenger(model)
            turn = challenger.turn() if challenger else None
            if challenger and challenger.version and turn and turn.side == "challenger":
                canary = held.enter_context(challenger.version.answering())
                response = await self._by_canary(canary, version, work, challenger, turn)
            else:
                response = await self._by(version, work, challenger, turn)
            if isinstance(response, EventStream):
                response.held = held.pop_all()
            return response

    async def _by_canary(
        self, canary: Loaded, champion: Loaded, work: Work, challenger: Challenger, turn: TrialTurn
    ) -> Response:
        """The answer of the challenger, or that of the champion where the challenger has none. Raises `ApiError`."""
        try:
            return await self._by(canary, work, challenger, turn)
        except ApiError as error:
            if error.status == GATEWAY_TIMEOUT:
                raise  # there is no time left for another answer
        except Exception:
            log.exception("the challenger failed")
        response = await self._by(champion, work, challenger, None)
        turn.ended(None)  # it refused what the champion answers
        return response

    async def _by(self, version: Loaded, work: Work, challenger: Challenger | None, turn: TrialTurn | None) -> Response:
        """The answer of a version within the time limit; `turn` is told how long it took, or that it failed."""

        def failed() -> None:
            if turn is not None:
                turn.ended(None)

        house = replace(self, ended=partial(self._ended, work, challenger, turn))
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                response = await work(house, version)
        except TimeoutError:
            failed()
            raise timed_out(self.settings.timeout_seconds) from None
        except Exception as error:
            if not isinstance(error, ApiError) or error.status >= 500:
                failed()
            raise
        response.headers.update(version.headers)
        if isinstance(response, EventStream):
            response.failed = failed
        return response

    def _ended(self, work: Work, challenger: Challenger | None, turn: TrialTurn | None, served: Served) -> None:
        """Count and keep an answer, and let the challenger answer too."""
        self.metrics.count(served)
        tracing.answered(served)
        if self.log is not None:
            self.log.keep(served)
        if challenger is None:
            return
        if turn is not None:
            turn.ended(served.seconds)
        if turn is None or turn.side == "champion":
            self.shadows.ask(self, work, challenger, served)


async def _while_connected(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """Do the work, and give it up when the client goes away. Raises `ClientDisconnect` then."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            with suppress(asyncio.CancelledError, ApiError):
                unwanted = await working
                if isinstance(unwanted, EventStream):
                    await unwanted.held.aclose()


async def _disconnected(request: Request) -> None:
    """Return when the client has gone away; its request has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
