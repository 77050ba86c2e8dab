"""POST /v1/feedback: what a user says about an answer that was kept."""

import asyncio

from starlette.responses import JSONResponse, Response

from components.api.errors import ApiError, unavailable
from components.api.exchange import House
from components.api.requests import FeedbackRequest
from components.traffic.log import Verdict


async def answer(asked: FeedbackRequest, house: House) -> Response:
    """Keep it. Raises `ApiError` for an answer that was not kept."""
    if house.log is None:
        raise ApiError(404, "this server keeps no answers: serve.log of params.yaml is not set", code="not_kept")
    if asked.thumb is None and asked.corrected is None:
        raise ApiError(400, "a thumb, or a corrected answer, is needed", param="thumb")
    if asked.consent and asked.corrected is None:
        raise ApiError(400, "consent is about a corrected answer, and there is none", param="corrected")
    verdict = Verdict(asked.id, asked.choice, asked.thumb, asked.corrected, asked.consent, asked.user)
    try:
        if not await asyncio.to_thread(house.log.has, asked.id, asked.choice):
            raise ApiError(404, f"the answer {asked.id!a} with choice {asked.choice} was not kept", code="not_kept")
        await asyncio.to_thread(house.log.judge, verdict)
    except OSError:
        raise unavailable("feedback cannot be kept at the moment", "not_kept") from None
    return JSONResponse({"object": "feedback", "id": asked.id, "choice": asked.choice})
