"""One request and its answer: a turn, a version, a time limit, and a client that may go away."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from components.api.admission import Admission
from components.api.errors import ApiError, timed_out
from components.api.live import Live
from components.api.loaded import Loaded
from components.api.metrics import Metrics
from components.api.settings import Serve

LAST_WORDS = 1.0  # seconds in which a client has to take the error at the end of a stream


class EventStream(StreamingResponse):
    """Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html

    What the answer holds, its turn and its version, is given back when the stream has ended, however it ends.
    """

    def __init__(self, events: AsyncIterator[Mapping[str, object]], seconds: float) -> None:
        self._events = _lines(events)
        super().__init__(self._events, media_type="text/event-stream", headers={"cache-control": "no-store"})
        self._seconds = seconds
        self.held = AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            body = _line(timed_out(self._seconds).body())
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await send({"type": "http.response.body", "body": body, "more_body": False})
        finally:
            await self._events.aclose()  # what was not read is not generated
            await self.held.aclose()


@dataclass(frozen=True)
class House:
    """What all requests share."""

    settings: Serve
    live: Live
    admission: Admission
    metrics: Metrics

    async def answer(self, request: Request, model: str, work: Callable[[Loaded], Awaitable[Response]]) -> Response:
        """The answer of a version to a request; a client that goes away gives back its turn. Raises `ApiError`."""
        return await _while_connected(request, self._admitted(request, model, work))

    async def _admitted(self, request: Request, model: str, work: Callable[[Loaded], Awaitable[Response]]) -> Response:
        async with AsyncExitStack() as held:
            await held.enter_async_context(self.admission.slot())
            version = await held.enter_async_context(self.live.version(model))
            request.state.version = version.fingerprint
            try:
                async with asyncio.timeout(self.settings.timeout_seconds):
                    response = await work(version)
            except TimeoutError:
                raise timed_out(self.settings.timeout_seconds) from None
            response.headers.update(version.headers)
            if isinstance(response, EventStream):
                response.held = held.pop_all()
            return response


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


async def _lines(events: AsyncIterator[Mapping[str, object]]) -> AsyncGenerator[bytes]:
    """Events as lines of a stream; an error is the last event, as the status has been sent already."""
    try:
        async for event in events:
            yield _line(event)
        yield b"data: [DONE]\n\n"
    except ApiError as error:
        yield _line(error.body())


def _line(event: Mapping[str, object]) -> bytes:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
