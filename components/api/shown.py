"""Answers in the form of OpenAI's API: identity, usage, and the probabilities of tokens."""

import secrets
import time
from collections.abc import Sequence
from typing import Any

from components.api.generating import AnswerPart, Answers
from components.api.loaded import Loaded
from components.serving.engine import Drawn
from components.tokenizer.tokenizer import Tokenizer
from components.traffic.served import Said, Served


def head(version: Loaded, kind: str, prefix: str, model: str) -> dict[str, Any]:
    """What every answer, and every event of a stream, begins with."""
    return {
        "id": f"{prefix}-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": version.fingerprint,
    }


def usage(prompts: Sequence[Sequence[int]], generated: int) -> dict[str, int]:
    """How many tokens were read, each prompt once, and generated."""
    read = sum(map(len, prompts))
    return {"prompt_tokens": read, "completion_tokens": generated, "total_tokens": read + generated}


def served(
    version: Loaded,
    identity: str,
    route: str,
    user: str | None,
    answers: Sequence[Said],
    prompt_tokens: int,
    began: float,
    **more: Any,
) -> Served:
    """A request that this version has just answered, as it is counted, compared and kept."""
    one = version.version
    seconds = time.monotonic() - began
    return Served(identity, route, one.name, one.number, one.digest, user, answers, prompt_tokens, seconds, **more)


class Collected:
    """The answers of a request, put together of their pieces."""

    def __init__(self, answers: Answers) -> None:
        count = len(answers.generations)
        self.texts = [""] * count
        self.drawn: list[list[Drawn]] = [[] for _ in range(count)]
        self.reasons: list[str] = [""] * count
        self.seconds_to_first: float | None = None
        self._answers = answers
        self._began = time.monotonic()

    def add(self, piece: AnswerPart) -> None:
        """Take in one piece."""
        self.texts[piece.place] += piece.text
        if piece.drawn is not None:
            if self.seconds_to_first is None:
                self.seconds_to_first = time.monotonic() - self._began
            self.drawn[piece.place].append(piece.drawn)
        if piece.reason is not None:
            self.reasons[piece.place] = piece.reason

    @property
    def tokens(self) -> int:
        """The number of generated tokens."""
        return sum(map(len, self.drawn))

    async def all(self) -> "Collected":
        """The same, once all answers have ended."""
        async for piece in self._answers.pieces():
            self.add(piece)
        return self


def chat_logprobs(drawn: Sequence[Drawn], tokenizer: Tokenizer) -> dict[str, Any]:
    """Tokens of a chat answer with their log-probabilities and alternatives."""
    return {
        "content": [
            {
                **_token(one.token, one.logprob, tokenizer),
                "top_logprobs": [_token(token, logprob, tokenizer) for token, logprob in one.alternatives],
            }
            for one in drawn
        ],
        "refusal": None,
    }


def text_logprobs(drawn: Sequence[Drawn], tokenizer: Tokenizer, begin: int) -> dict[str, Any]:
    """The same in the form of the older API; `begin` is the place of the first token, in characters."""
    names = [name(one.token, tokenizer) for one in drawn]
    offsets = [begin]
    for text in names[:-1]:
        offsets.append(offsets[-1] + len(text))
    return {
        "tokens": names,
        "token_logprobs": [one.logprob for one in drawn],
        "top_logprobs": [
            {name(token, tokenizer): logprob for token, logprob in one.alternatives} if one.alternatives else None
            for one in drawn
        ],
        "text_offset": offsets[: len(drawn)],
    }


def name(token: int, tokenizer: Tokenizer) -> str:
    """A token as text: its name if it is special, bytes that are no character of their own as U+FFFD."""
    special = tokenizer.special_names.get(token)
    return tokenizer.decode_bytes([token]).decode("utf-8", errors="replace") if special is None else special


def _token(token: int, logprob: float | None, tokenizer: Tokenizer) -> dict[str, Any]:
    return {"token": name(token, tokenizer), "logprob": logprob, "bytes": [*tokenizer.decode_bytes([token])]}
