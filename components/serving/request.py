"""Valid requests to a model: a text or a conversation, and the options of the answer.

The limits are defined here once, for `lmforge chat`, for the served model and for the defaults in the package. The
served model runs without this repository, so this module needs only the standard library and `annotated_types`.
"""

import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args, get_type_hints

from annotated_types import Ge, Gt, Le, MinLen

from components.core.errors import BadData, BadSettings

if TYPE_CHECKING:
    from components.tokenizer.tokenizer import Message

ROLES = ("system", "user", "assistant", "tool")
SHOWN = 60  # characters of a wrong value that an error repeats

MaxNewTokens = Annotated[int, Ge(1)]  # of an answer
Temperature = Annotated[float, Ge(0)]  # 0 is greedy
TopP = Annotated[float, Gt(0), Le(1)]  # share of the probability from which a token is sampled
Seed = Annotated[int, Ge(0)]
StopText = Annotated[str, MinLen(1)]  # ends an answer, and is left out


@dataclass(frozen=True, kw_only=True)
class Options:
    """How an answer is generated."""

    max_new_tokens: MaxNewTokens
    temperature: Temperature
    top_p: TopP = 1.0
    seed: Seed = 0
    stop: tuple[StopText, ...] = ()

    @classmethod
    def of_package(cls, generation: Mapping[str, Any]) -> Self:
        """The defaults of a package, from its `generation_config.json`."""
        temperature = generation["temperature"] if generation["do_sample"] else 0.0
        return cls(
            max_new_tokens=generation["max_new_tokens"], temperature=temperature, top_p=generation.get("top_p", 1.0)
        )

    def having(self, asked: Mapping[str, object]) -> Self:
        """These options, with the given ones replaced.

        Raises `BadSettings` with the name and the limit of one that is unknown or out of range.
        """
        hints = get_type_hints(type(self), include_extras=True)
        for name in asked:
            if name not in hints:
                raise BadSettings(f"`{name}` is not a parameter; {_suggest(name, list(hints))}")
        return replace(self, **{name: _checked(name, value, hints[name]) for name, value in asked.items()})


def conversation(asked: object) -> list["Message"]:
    """A conversation that ends with a message of the user; a text is the user's only message.

    Raises `BadData` with the reason.
    """
    if isinstance(asked, str):
        return [{"role": "user", "content": asked}]
    if not isinstance(asked, Sequence) or not asked:
        raise BadData(f"{_shown(asked)} is no prompt: it should be a text, or a list of messages")
    messages = [_message(message) for message in asked]
    if messages[-1]["role"] not in ("user", "tool"):
        raise BadData(f"the last message is of the role {messages[-1]['role']}: it should be of the user, or of a tool")
    return messages


def _message(asked: object) -> "Message":
    if not isinstance(asked, Mapping) or asked.keys() != {"role", "content"}:
        raise BadData(f"{_shown(asked)} is no message: it should have a role and a content, and no more")
    role, content = asked["role"], asked["content"]
    if role not in ROLES:
        raise BadData(f"the role of a message is {_shown(role)}: it should be one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise BadData(f"the content of a message is {_shown(content)}: it should be a text")
    return {"role": role, "content": content}


def _checked(name: str, value: Any, hint: Any) -> Any:
    """The value as the type of the hint. Raises `BadSettings` when it is of another type, or out of range."""
    kind, *limits = get_args(hint)
    if limits == [...]:  # a tuple of any length
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise BadSettings(f"{name} is {_shown(value)}: it should be a list")
        return tuple(_checked(f"{name}[{place}]", part, kind) for place, part in enumerate(value))
    if wrong := _is_not(kind, value):
        raise BadSettings(f"{name} is {_shown(value)}: it should be {wrong}")
    for limit in limits:
        if wrong := _is_beyond(limit, value):
            raise BadSettings(f"{name} is {_shown(value)}: it should be {wrong}")
    return kind(value)


def _is_not(kind: type, value: Any) -> str:
    """The expected kind of a value, if the value is of another one."""
    if kind is str:
        return "" if isinstance(value, str) and _is_unicode(value) else "Unicode text"
    if kind is int:
        return "" if isinstance(value, Integral) and not isinstance(value, bool) else "a whole number"
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return "" if is_number and abs(value) <= sys.float_info.max else "a finite number"


def _is_unicode(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which stands for no character."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_beyond(limit: object, value: Any) -> str:
    """The expected range of a value, if the value is beyond a limit."""
    match limit:
        case Ge(ge=least):
            return "" if value >= least else f"at least {least}"
        case Gt(gt=least):
            return "" if value > least else f"above {least}"
        case Le(le=most):
            return "" if value <= most else f"at most {most}"
        case MinLen(min_length=least):
            return "" if len(value) >= least else f"of length {least} or more"
    raise TypeError(f"no check for {limit}")


def _suggest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"


def _shown(value: Any) -> str:
    """A value as JSON, shortened."""
    if isinstance(value, float) and value != value:  # null in a table
        value = None
    text = json.dumps(value, default=repr)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
