"""The turns of a conversation."""

from typing import Literal, NotRequired, TypedDict


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    weight: NotRequired[int]  # 0: the turn carries no loss
