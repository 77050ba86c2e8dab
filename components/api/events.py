"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, suppress

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from components.api.errors import ApiError, timed_out

LAST_WORDS = 1.0  # seconds in which a client has to take the error at the end of a stream


class EventStream(StreamingResponse):
    """An answer as a stream.

    What it holds, its turn and its version, is given back when the stream has ended, however it ends.
    """

    def __init__(self, events: AsyncIterator[Mapping[str, object]], seconds: float) -> None:
        self._events = self._lines(events)
        super().__init__(self._events, media_type="text/event-stream", headers={"cache-control": "no-store"})
        self._seconds = seconds
        self.held = AsyncExitStack()
        self.failed: Callable[[], None] = lambda: None  # called when the stream ends in an error

    async def read_all(self) -> None:
        """Let the answer be generated without sending it."""
        async for _ in self._events:
            pass

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            self.failed()
            body = _line(timed_out(self._seconds).body())
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await send({"type": "http.response.body", "body": body, "more_body": False})
        finally:
            await self._events.aclose()  # what was not read is not generated
            await self.held.aclose()

    async def _lines(self, events: AsyncIterator[Mapping[str, object]]) -> AsyncGenerator[bytes]:
        """Events as lines of a stream; an error is the last event, as the status has been sent already."""
        try:
            async for event in events:
                yield _line(event)
            yield b"data: [DONE]\n\n"
        except ApiError as error:
            self.failed()
            yield _line(error.body())


def _line(event: Mapping[str, object]) -> bytes:
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
