"""What every request passes before it is read: key, rate, size; and what is counted when it has been answered."""

import asyncio
import time
from collections.abc import Iterable

from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components.api.admission import Rate
from components.api.errors import ApiError, timed_out, unavailable
from components.api.keys import Keys
from components.api.metrics import Metrics
from components.api.settings import Serve
from components.core.errors import BadSettings

GUARDED = "/v1/"
SCHEME = "bearer "


class Door:
    """A middleware in front of the routes."""

    def __init__(self, app: ASGIApp, settings: Serve, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._keys = Keys(settings.keys) if settings.keys else None
        self._rate = Rate(settings.requests_per_minute) if settings.requests_per_minute else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if scope["path"].startswith(GUARDED):
                self._check(scope)
            await self._app(scope, await self._read(scope, receive), sending)
        except ApiError as error:
            await error.response()(scope, receive, sending)
        finally:
            self._metrics.answered(_route(scope), status, time.monotonic() - began)

    def _check(self, scope: Scope) -> None:
        """Raise `ApiError` for a request without a valid key, or beyond its caller's rate."""
        caller = scope["client"][0] if scope["client"] else ""
        if self._keys is not None:
            caller = self._owner(self._keys, scope["headers"])
        if self._rate is not None:
            self._rate.take(caller)

    def _owner(self, keys: Keys, headers: Iterable[tuple[bytes, bytes]]) -> str:
        given = next((value.decode("latin-1") for name, value in headers if name == b"authorization"), "")
        try:
            owner = keys.owner(given[len(SCHEME) :].strip()) if given.lower().startswith(SCHEME) else None
        except (BadSettings, OSError, UnicodeError):
            raise unavailable("the file of keys cannot be read", "keys_unavailable") from None
        if owner is None:
            message = "a valid API key is needed: `Authorization: Bearer KEY`"
            raise ApiError(401, message, code="invalid_api_key", headers={"www-authenticate": "Bearer"})
        return owner

    async def _read(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body, within limits of size and time; what it returns gives it to the app as one piece."""
        limit = self._settings.max_body_kilobytes * 1024
        if any(name == b"content-length" and int(value) > limit for name, value in scope["headers"]):
            raise _too_large(limit)
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(self._settings.timeout_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return receive
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > limit:
                        raise _too_large(limit)
        except TimeoutError:
            raise timed_out(self._settings.timeout_seconds) from None
        given = False

        async def receiving() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        return receiving


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"the body has more than {limit // 1024} kB", code="request_too_large")


def _route(scope: Scope) -> str:
    """The path as its route has it, as anybody can ask for any path."""
    for route in scope["app"].router.routes if "app" in scope else ():
        match, _ = route.matches(scope)
        if match is not Match.NONE:
            return str(route.path)
    return "other"
