"""POST /v1/completions: https://platform.openai.com/docs/api-reference/completions"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from starlette.responses import JSONResponse, Response

from components.api import asking, generating, shown
from components.api.errors import ApiError
from components.api.events import EventStream
from components.api.exchange import House
from components.api.generating import Answers
from components.api.loaded import Loaded
from components.api.requests import CompletionRequest
from components.api.shown import Collected
from components.serving.answering import AnswerWriter
from components.serving.engine import Drawn, Generation
from components.serving.reply import Reply
from components.traffic.served import TEXT, Said, Served

ROUTE = "/v1/completions"
KIND = "text_completion"


@dataclass(frozen=True)
class Echo:
    """A prompt as a part of its answer: its text, and its tokens where their probabilities are asked for."""

    text: str = ""
    drawn: Sequence[Drawn] = ()


async def answer(asked: CompletionRequest, house: House, version: Loaded) -> Response:
    """The continuations by a version, whole or as a stream. Raises `ApiError`."""
    began = time.monotonic()
    model = asking.writer(version, "completions")
    asking.check_answers(len(asked.prompts) * asked.n, house.settings)
    prompts, answers = await asyncio.to_thread(_prepared, house, asked, version, model)
    echoes = await version.compute(
        lambda: [_echo(asked, model, *pair) for pair in zip(asked.prompts, prompts, strict=True)]
    )
    if asked.stream:
        events = _events(house, asked, version, prompts, answers, echoes, began)
        return EventStream(events, house.settings.timeout_seconds)
    collected = await Collected(answers).all()
    head = shown.head(version, KIND, "cmpl", asked.model)
    house.ended(_served(head["id"], asked, version, prompts, collected, began))
    choices = [
        _choice(asked, model, echoes[place // asked.n], collected, place) for place in range(len(prompts) * asked.n)
    ]
    return JSONResponse({**head, "choices": choices, "usage": shown.usage(prompts, collected.tokens)})


def _served(
    identity: str,
    asked: CompletionRequest,
    version: Loaded,
    prompts: Sequence[Sequence[int]],
    collected: Collected,
    began: float,
) -> Served:
    """The request and its answers, as they are kept: each prompt as a text."""
    decode = version.model.tokenizer.decode
    texts = [prompt if isinstance(prompt, str) else decode(prompt) for prompt in asked.prompts]
    said = [
        Said([{"role": TEXT, "content": texts[place // asked.n]}], text, len(drawn), reason)
        for place, (text, drawn, reason) in enumerate(
            zip(collected.texts, collected.drawn, collected.reasons, strict=True)
        )
    ]
    read, first = sum(map(len, prompts)), collected.seconds_to_first
    return shown.served(version, identity, ROUTE, asked.by, said, read, began, seconds_to_first=first)


def _choice(asked: CompletionRequest, model: AnswerWriter, echo: Echo, said: Collected, place: int) -> dict[str, Any]:
    """An answer whole, behind its prompt where that is asked for."""
    text, drawn, reason = "", [], "length"
    if said.texts:
        text, drawn, reason = said.texts[place], said.drawn[place], said.reasons[place]
    logprobs = None
    if asked.logprobs is not None:
        logprobs = shown.text_logprobs([*echo.drawn, *drawn], model.tokenizer, 0)
    return {"index": place, "text": echo.text + text, "finish_reason": reason, "logprobs": logprobs}


def _prepared(
    house: House, asked: CompletionRequest, version: Loaded, model: AnswerWriter
) -> tuple[list[tuple[int, ...]], Answers]:
    """The ids of the prompts, and the answers to them: none when no new token is asked for."""
    if asked.max_tokens == 0 and not asked.echo:
        raise ApiError(400, "max_tokens: 0 makes sense with echo alone", param="max_tokens")
    new_tokens = asking.max_new_tokens(asked.max_tokens, model, house.settings)
    prompts = [asking.of_text(model, prompt, new_tokens) for prompt in asked.prompts]
    if not new_tokens:
        return prompts, Answers(version, [], [])
    drawing = generating.sampling(asked, model)
    count = len(prompts) * asked.n
    seeds = generating.seeds(asked, count)
    constraints = version.grammars.constraints(asked, count) if asked.constrained else [None] * count
    generations = [
        Generation(
            prompts[place // asked.n], new_tokens, frozenset(model.end), drawing, seed, asked.logprobs, constraint
        )
        for place, (seed, constraint) in enumerate(zip(seeds, constraints, strict=True))
    ]
    return prompts, Answers(version, generations, [Reply(model.tokenizer, asked.stops) for _ in generations])


async def _events(
    house: House,
    asked: CompletionRequest,
    version: Loaded,
    prompts: Sequence[Sequence[int]],
    answers: Answers,
    echoes: Sequence[Echo],
    began: float,
) -> AsyncIterator[dict[str, Any]]:
    """The events of a stream."""
    tokenizer = version.model.tokenizer
    head = shown.head(version, KIND, "cmpl", asked.model)
    wants_usage = asked.stream_options is not None and asked.stream_options.include_usage
    lengths = [0] * (len(prompts) * asked.n)  # of what was shown, in characters

    def event(place: int, text: str, drawn: Sequence[Drawn], reason: str | None) -> dict[str, Any]:
        logprobs = None
        if asked.logprobs is not None and drawn:
            logprobs = shown.text_logprobs(drawn, tokenizer, lengths[place])
        lengths[place] += len(text)
        choice = {"index": place, "text": text, "finish_reason": reason, "logprobs": logprobs}
        return {**head, "choices": [choice], **({"usage": None} if wants_usage else {})}

    for place in range(len(lengths) if asked.echo else 0):
        echo = echoes[place // asked.n]
        yield event(place, echo.text, echo.drawn, None if answers.generations else "length")
    collected = Collected(answers)
    async for piece in answers.pieces():
        collected.add(piece)
        yield event(piece.place, piece.text, [piece.drawn] if piece.drawn else [], piece.reason)
    house.ended(_served(head["id"], asked, version, prompts, collected, began))
    if wants_usage:
        yield {**head, "choices": [], "usage": shown.usage(prompts, collected.tokens)}


def _echo(asked: CompletionRequest, model: AnswerWriter, prompt: str | list[int], ids: Sequence[int]) -> Echo:
    """What an answer begins with when `echo` asks for the prompt."""
    if not asked.echo:
        return Echo()
    text = prompt if isinstance(prompt, str) else model.tokenizer.decode(prompt)
    if asked.logprobs is None:
        return Echo(text)
    if model.model.config.architecture != "decoder":
        raise ApiError(400, "echo with logprobs needs a decoder: this model does not predict its prompts", param="echo")
    drawn = _scored(model, ids, asked.logprobs)
    return Echo(text, drawn[1:] if isinstance(prompt, str) else drawn)  # a text follows the token that begins it


@torch.inference_mode()
def _scored(model: AnswerWriter, ids: Sequence[int], alternatives: int) -> list[Drawn]:
    """The tokens of a prompt with their log-probabilities, in nats; the first one has none."""
    logits_TV = model.model.logits(torch.tensor([ids], device=model.model.device))[0, :-1].float()
    logprobs_TV = logits_TV.log_softmax(-1)
    own_T = logprobs_TV.gather(-1, torch.tensor(ids[1:], device=logits_TV.device)[:, None]).squeeze(-1)
    best = logprobs_TV.topk(min(alternatives, logprobs_TV.shape[-1]))
    others = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    scored = [
        Drawn(token, logprob, tuple(zip(*other, strict=True)))
        for token, logprob, other in zip(ids[1:], own_T.tolist(), others, strict=True)
    ]
    return [Drawn(ids[0], None, ()), *scored]
