"""Errors in the form of OpenAI's API: https://platform.openai.com/docs/guides/error-codes"""

import json
from collections.abc import Mapping

from starlette.responses import Response

INVALID = "invalid_request_error"


class ApiError(Exception):
    """What a client is told: the status of HTTP, and a message for people with a code for programs."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.code, self.param = status, kind, code, param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """The content of the answer."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        """The answer; a text with half of a surrogate pair can be part of it, so that it is ASCII."""
        return Response(json.dumps(self.body()), self.status, self.headers, "application/json")


def too_many(message: str, retry_after: float) -> ApiError:
    """A refusal of a request that may be sent again after some seconds."""
    headers = {"retry-after": str(max(1, round(retry_after)))}
    return ApiError(429, message, kind="rate_limit_error", code="rate_limit_exceeded", headers=headers)


def unavailable(message: str, code: str, retry_after: float = 1.0) -> ApiError:
    """A request that cannot be answered at the moment."""
    return ApiError(
        503, message, kind="server_error", code=code, headers={"retry-after": str(max(1, round(retry_after)))}
    )


def timed_out(seconds: float) -> ApiError:
    """An answer that took too long."""
    return ApiError(504, f"the answer took more than {seconds:g} s", kind="server_error", code="timeout")
