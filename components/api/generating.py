"""From a request to the engine, and from the engine's tokens to the text of the answers."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

from components.api.errors import ApiError
from components.api.loaded import Loaded
from components.api.requests import Generating
from components.model.sampling import Sampling
from components.serving.answering import AnswerWriter
from components.serving.engine import Drawn, Finished, Generation
from components.serving.reply import Reply

Reason = Literal["stop", "length"]


@dataclass(frozen=True)
class AnswerPart:
    """More of an answer: text that shows now, the token that was drawn, and why it ended if it did."""

    place: int  # of the answer among those of the request
    text: str = ""
    drawn: Drawn | None = None
    reason: Reason | None = None


@dataclass(frozen=True)
class Answers:
    """Answers to be generated together, and how their tokens become text."""

    version: Loaded
    generations: Sequence[Generation]
    replies: Sequence[Reply]

    async def pieces(self) -> AsyncIterator[AnswerPart]:
        """The answers as they are generated, mixed; each ends with a piece that has a reason.

        Whoever stops reading gives back the places in the engine. Raises `ApiError` when the engine fails.
        """
        assert self.version.engine is not None
        events: asyncio.Queue[tuple[int, Drawn | Finished]] = asyncio.Queue()
        deliver = partial(_deliver, asyncio.get_running_loop(), events)
        tickets = [
            self.version.engine.submit(generation, partial(deliver, place))
            for place, generation in enumerate(self.generations)
        ]
        going = set(range(len(tickets)))
        try:
            while going:
                place, event = await events.get()
                if place not in going:
                    continue  # what came behind a stop string
                piece = self._piece(place, event)
                if piece.reason is not None:
                    going.discard(place)
                    tickets[place].cancel()
                yield piece
        finally:
            for place in going:
                tickets[place].cancel()

    def _piece(self, place: int, event: Drawn | Finished) -> AnswerPart:
        reply = self.replies[place]
        if isinstance(event, Drawn):
            text = reply.add(event.token)
            return AnswerPart(place, text, event, "stop" if reply.stopped else None)
        if event.reason not in ("stop", "length"):
            raise ApiError(500, event.error or "the answer was ended", kind="server_error", code="engine_failed")
        return AnswerPart(place, reply.end(), None, event.reason)


def _deliver(
    loop: asyncio.AbstractEventLoop,
    events: "asyncio.Queue[tuple[int, Drawn | Finished]]",
    place: int,
    event: Drawn | Finished,
) -> None:
    """Hand over an event of the engine's thread; nobody waits for it when the loop has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(events.put_nowait, (place, event))


def sampling(asked: Generating, writer: AnswerWriter) -> Sampling:
    """How the tokens of a request are drawn; what it leaves open is as in the package. Raises `ApiError`."""
    bias = {int(token): value for token, value in (asked.logit_bias or {}).items()}
    size = writer.model.config.vocab_size
    if unknown := next((token for token in bias if token >= size), None):
        raise ApiError(400, f"logit_bias names the token {unknown}, and there are {size}", param="logit_bias")
    own = sampling_of_package(writer)
    top_p = own.top_p if asked.top_p is None else asked.top_p
    return Sampling(
        temperature=own.temperature if asked.temperature is None else asked.temperature,
        top_k=asked.top_k,
        top_p=None if top_p == 1 else top_p,
        repetition_penalty=own.repetition_penalty if asked.repetition_penalty is None else asked.repetition_penalty,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        logit_bias=bias,
    )


def sampling_of_package(writer: AnswerWriter) -> Sampling:
    """How tokens are drawn when a request says nothing about it."""
    return writer.sampling(writer.defaults)


def seeds(asked: Generating, count: int) -> list[int]:
    """A seed for each answer; drawn where the request has none."""
    first = secrets.randbits(31) if asked.seed is None else asked.seed % (1 << 63)
    return [first + number for number in range(count)]
