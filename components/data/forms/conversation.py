"""Conversations as rows have them: turns with `role` and `content`, or ShareGPT's with `from` and `value`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, NotRequired, TypedDict

from components.core.errors import BadData

ROLES = ("system", "user", "assistant", "tool")
NAMES = {role: role for role in ROLES} | {"human": "user", "gpt": "assistant"}
"""The names of roles that are read -> the role."""

TURN_KEYS = (("role", "content"), ("from", "value"))
UNREAD = ("tool_calls", "function_call", "reasoning_content", "thinking", "refusal")
"""Keys of a turn beside its content that a model would have to read or write, which ours cannot yet."""


class Turn(TypedDict):
    """One turn; `weight` 0 keeps an assistant's turn out of the loss."""

    role: str
    content: str
    weight: NotRequired[int]


class Conversation(NamedTuple):
    """The turns before the last assistant's turn that is trained, and the content of that turn."""

    turns: list[Turn]
    answer: str


def read_turns(value: object, place: str) -> list[Turn]:
    """The turns of a column. Raises `BadData` with place and turn for whatever cannot be kept as it is."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise BadData(f"{place}: not a list of turns but {'an empty one' if value == [] else type(value).__name__}")
    return [_turn(turn, f"{place}, turn {number}") for number, turn in enumerate(value, start=1)]


def split_off_answer(turns: Sequence[Turn], place: str) -> Conversation:
    """The conversation up to its last trained turn; what follows is left out. Raises `BadData` without such a turn."""
    trained = [number for number, turn in enumerate(turns) if turn["role"] == "assistant" and turn.get("weight") != 0]
    if not trained:
        raise BadData(f"{place}: no turn of the assistant that is trained")
    if not any(turn["role"] != "system" for turn in turns[: trained[-1]]):
        raise BadData(f"{place}: nothing is said before the assistant's only turn")
    return Conversation(list(turns[: trained[-1]]), turns[trained[-1]]["content"])


def _turn(turn: object, place: str) -> Turn:
    if not isinstance(turn, Mapping):
        raise BadData(f"{place}: not an object with `role` and `content` but {type(turn).__name__}")
    names = next((keys for keys in TURN_KEYS if set(keys) <= set(turn)), None)
    if names is None:
        raise BadData(f"{place}: no `role` and `content`; there are {', '.join(map(str, turn))}")
    unread = next((key for key in UNREAD if turn.get(key)), None)
    if unread:
        raise BadData(f"{place}: `{unread}` cannot be trained yet; leave the row out")
    said, content = (turn[name] for name in names)
    if said not in NAMES:
        raise BadData(f"{place}: the role {said!r} is not known; known: {', '.join(NAMES)}")
    made = Turn(role=NAMES[said], content=_content(content, place))
    if not made["content"].strip():
        raise BadData(f"{place}: the turn of the {made['role']} is empty")
    return _weighed(made, turn.get("weight"), place)


def _weighed(turn: Turn, weight: object, place: str) -> Turn:
    if weight not in (None, 0, 1):
        raise BadData(f"{place}: `weight` is {weight!r}, not 0 or 1")
    return Turn(**turn, weight=0) if weight == 0 and turn["role"] == "assistant" else turn


def _content(content: object, place: str) -> str:
    """A text, or the texts of its parts one after the other."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        raise BadData(f"{place}: the content is not text but {type(content).__name__}")
    return "".join(_part(part, place) for part in content)


def _part(part: object, place: str) -> str:
    if isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    raise BadData(f"{place}: a part of the content is not text but {kind}")
