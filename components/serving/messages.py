"""What a request asks of the engine, and what is delivered to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from components.model.sampling import Sampling

Allowed = Callable[[Sequence[int]], Tensor | None]
"""A constraint: from the tokens of the answer so far to those that may follow, bool [V]; None: all."""


@dataclass(frozen=True)
class Generation:
    """What is asked for: the answer to a prompt, up to a stop token (left out) or of `max_new_tokens`.

    logprobs: the number of alternatives to deliver with each token and its log-probability in nats, both of the
    model, before penalties, bias, constraint and temperature; None: none of it.
    """

    prompt: tuple[int, ...]
    max_new_tokens: int
    stop_tokens: frozenset[int]
    sampling: Sampling
    seed: int
    logprobs: int | None = None
    allowed: Allowed | None = None


@dataclass(frozen=True)
class Drawn:
    """A token of an answer; its log-probability and the likeliest tokens with theirs, if they were asked for."""

    token: int
    logprob: float | None
    alternatives: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Finished:
    """The end of an answer."""

    reason: Literal["stop", "length", "cancelled", "error"]
    error: str | None = None


Deliver = Callable[[Drawn | Finished], None]
"""Called on the engine's thread, and has to return at once."""
