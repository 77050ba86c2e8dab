"""POST /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.responses import JSONResponse, Response

from components.api import asking, generating, shown
from components.api.errors import ApiError
from components.api.events import EventStream
from components.api.exchange import House
from components.api.generating import AnswerPart, Answers
from components.api.loaded import Loaded
from components.api.requests import ChatRequest
from components.api.shown import Collected
from components.serving import request
from components.serving.answering import AnswerWriter, Conversation, Labeller
from components.serving.engine import Generation
from components.serving.reply import Reply
from components.traffic.served import Said, Served

ROUTE = "/v1/chat/completions"
WHOLE, PART = "chat.completion", "chat.completion.chunk"


async def answer(asked: ChatRequest, house: House, version: Loaded) -> Response:
    """The answer of a version, whole or as a stream. Raises `ApiError`."""
    began = time.monotonic()
    with asking.as_api_error("messages"):
        conversation = request.conversation([_message(message.role, message.text) for message in asked.messages])
    if isinstance(version.model, Labeller):
        return await _label(house, asked, version, version.model, conversation)
    asking.check_answers(asked.n, house.settings)
    answers = await asyncio.to_thread(_prepared, house, asked, version, version.model, conversation)
    if asked.stream:
        events = _events(house, asked, conversation, answers, began)
        return EventStream(events, house.settings.timeout_seconds)
    collected = await Collected(answers).all()
    head = shown.head(version, WHOLE, "chatcmpl", asked.model)
    house.ended(_served(head["id"], asked, conversation, answers, collected, began))
    tokenizer = version.model.tokenizer
    choices = [
        {
            "index": place,
            "message": {"role": "assistant", "content": text.rstrip(), "refusal": None},
            "finish_reason": reason,
            "logprobs": shown.chat_logprobs(drawn, tokenizer) if asked.logprobs else None,
        }
        for place, (text, reason, drawn) in enumerate(
            zip(collected.texts, collected.reasons, collected.drawn, strict=True)
        )
    ]
    used = shown.usage([answers.generations[0].prompt], collected.tokens)
    return JSONResponse({**head, "choices": choices, "usage": used})


def _served(
    identity: str,
    asked: ChatRequest,
    conversation: Conversation,
    answers: Answers,
    collected: Collected,
    began: float,
) -> Served:
    """The request and its answers, as they are kept."""
    said = [
        Said(conversation, text.rstrip(), len(drawn), reason)
        for text, drawn, reason in zip(collected.texts, collected.drawn, collected.reasons, strict=True)
    ]
    read = len(answers.generations[0].prompt)
    first = collected.seconds_to_first
    return shown.served(answers.version, identity, ROUTE, asked.by, said, read, began, seconds_to_first=first)


def _prepared(
    house: House, asked: ChatRequest, version: Loaded, model: AnswerWriter, conversation: Conversation
) -> Answers:
    wanted = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    new_tokens = asking.max_new_tokens(wanted, model, house.settings)
    prompt = asking.of_conversation(model, conversation, new_tokens)
    drawing = generating.sampling(asked, model)
    told = (asked.top_logprobs or 0) if asked.logprobs else None
    if asked.top_logprobs and not asked.logprobs:
        raise ApiError(400, "top_logprobs needs logprobs: true", param="top_logprobs")
    seeds = generating.seeds(asked, asked.n)
    constraints = version.grammars.constraints(asked, asked.n) if asked.constrained else [None] * asked.n
    return Answers(
        version,
        [
            Generation(prompt, new_tokens, frozenset(model.end), drawing, seed, told, constraint)
            for seed, constraint in zip(seeds, constraints, strict=True)
        ],
        [Reply(model.tokenizer, asked.stops, model.tokenizer.lead) for _ in seeds],
    )


async def _events(
    house: House, asked: ChatRequest, conversation: Conversation, answers: Answers, began: float
) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream."""
    version = answers.version
    head = shown.head(version, PART, "chatcmpl", asked.model)
    wants_usage = asked.stream_options is not None and asked.stream_options.include_usage
    beside = {"usage": None} if wants_usage else {}
    for place in range(asked.n):
        yield {**head, "choices": [_delta(place, {"role": "assistant", "content": ""})], **beside}
    collected, trimmed = Collected(answers), [_Trimmed() for _ in range(asked.n)]
    async for piece in answers.pieces():
        collected.add(piece)
        yield {**head, "choices": [_choice(asked, version, piece, trimmed[piece.place].add)], **beside}
    house.ended(_served(head["id"], asked, conversation, answers, collected, began))
    if wants_usage:
        used = shown.usage([answers.generations[0].prompt], collected.tokens)
        yield {**head, "choices": [], "usage": used}


def _choice(asked: ChatRequest, version: Loaded, piece: AnswerPart, trim: Callable[[str], str]) -> dict[str, Any]:
    """A piece of an answer as a part of a stream."""
    text = trim(piece.text)
    logprobs = None
    if asked.logprobs and piece.drawn is not None:
        logprobs = shown.chat_logprobs([piece.drawn], version.model.tokenizer)
    return _delta(piece.place, {"content": text} if text else {}, piece.reason, logprobs)


def _delta(place: int, delta: dict[str, str], reason: str | None = None, logprobs: Any = None) -> dict[str, Any]:
    return {"index": place, "delta": delta, "finish_reason": reason, "logprobs": logprobs}


class _Trimmed:
    """Text without the white space at its end: it is shown when more text follows."""

    def __init__(self) -> None:
        self._held = ""

    def add(self, text: str) -> str:
        """What may be shown."""
        whole = self._held + text
        kept = whole.rstrip()
        self._held = whole[len(kept) :]
        return kept


async def _label(
    house: House, asked: ChatRequest, version: Loaded, model: Labeller, conversation: Conversation
) -> Response:
    """An encoder answers with a label, or a part of the message."""
    began = time.monotonic()
    if asked.n > 1 or asked.logprobs or asked.constrained:
        raise ApiError(400, "a model that labels has one answer, without logprobs: /v1/classify has probabilities")
    with asking.as_api_error("messages"):
        ids = await asyncio.to_thread(model.prompt, conversation)
        [said] = await version.compute(lambda: model.answers([conversation]))
    used = shown.usage([ids], 0)
    head = shown.head(version, PART if asked.stream else WHOLE, "chatcmpl", asked.model)
    house.ended(shown.served(version, head["id"], ROUTE, asked.by, [Said(conversation, said, 0)], len(ids), began))
    if not asked.stream:
        message = {"role": "assistant", "content": said, "refusal": None}
        choices = [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}]
        return JSONResponse({**head, "choices": choices, "usage": used})

    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {**head, "choices": [_delta(0, {"role": "assistant", "content": said})]}
        yield {**head, "choices": [_delta(0, {}, "stop")]}

    return EventStream(events(), 60.0)


def _message(role: str, text: str) -> dict[str, str]:
    return {"role": "system" if role == "developer" else role, "content": text}
