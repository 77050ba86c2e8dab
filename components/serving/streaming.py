"""Text from a stream of tokens, and where it stops."""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence

from components.tokenizer.tokenizer import Tokenizer


def characters(tokens: Iterable[int], tokenizer: Tokenizer) -> Iterator[str]:
    """The text of tokens as they arrive; a token that ends inside a character waits for the rest of it."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token in tokens:
        if text := decoder.decode(tokenizer.decode_bytes([token])):
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest


def until(pieces: Iterable[str], stop: Sequence[str]) -> Iterator[str]:
    """Text in pieces up to the first stop string (left out); a possible beginning of one is held back."""
    held = ""
    for piece in pieces:
        held += piece
        if (end := _first(held, stop)) is not None:
            held = held[:end]
            break
        free = len(held) - max((_begun(held, string) for string in stop), default=0)
        if free:
            yield held[:free]
        held = held[free:]
    if held:
        yield held


def before(text: str, stop: Sequence[str]) -> str:
    """A text up to the first stop string."""
    return text[: _first(text, stop)]


def stopped(tokenizer: Tokenizer, stop: Sequence[str]) -> Callable[[Sequence[int]], bool]:
    """A function that returns whether the last of some tokens completed a stop string."""
    longest = max((len(string.encode()) for string in stop), default=0)

    def complete(tokens: Sequence[int]) -> bool:
        # Each token is a byte or more. If a special token, which has none, pushes out the beginning of a stop string,
        # generation continues needlessly, and `before` cuts the answer.
        return _first(tokenizer.decode(tokens[-longest:]), stop) is not None

    return complete


def _first(text: str, stop: Sequence[str]) -> int | None:
    """Where the stop string begins that is completed first."""
    ends = [(place + len(string), place) for string in stop if (place := text.find(string)) >= 0]
    return min(ends)[1] if ends else None


def _begun(text: str, string: str) -> int:
    """The number of characters at the end of a text that are the beginning of a string."""
    return next(size for size in range(min(len(text), len(string)), -1, -1) if text.endswith(string[:size]))
