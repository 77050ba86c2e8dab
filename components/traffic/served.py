"""A request that was answered, as it is counted, compared and kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

TEXT = "text"
"""The role of a prompt that is no conversation but the beginning of a text."""


class Said(NamedTuple):
    """One answer of a request."""

    turns: Sequence[Mapping[str, object]]  # before it, or a text of the role `text`
    text: str
    tokens: int
    reason: str = "stop"  # why it ended


@dataclass(frozen=True)
class Served:
    """A request and its answers."""

    id: str  # as the response has it
    route: str
    model: str  # as the registry names it
    version: int
    digest: str
    user: str | None  # as the request names them
    answers: Sequence[Said]
    prompt_tokens: int
    seconds: float  # from the turn of the request to the end of its answer
    seconds_to_first: float | None = None  # token
    task: str | None = None
    labels: bool = False  # whether the answers are labels of the task

    @property
    def answer_tokens(self) -> int:
        """The tokens of all answers."""
        return sum(said.tokens for said in self.answers)
