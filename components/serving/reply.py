"""The text of an answer while its tokens arrive: whole characters, without a template's lead, up to a stop string."""

import codecs
from collections.abc import Iterable, Iterator, Sequence

from components.tokenizer.tokenizer import Tokenizer


class Reply:
    """Tokens in, text out: what `add` and `end` return, one after the other, is the answer.

    `lead` is what a chat template sets before an answer; with None the text begins with the first token, as it is.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = (), lead: str | None = None) -> None:
        self._characters = Characters(tokenizer)
        self._behind = None if lead is None else Behind(lead)
        self._until = Until(stop)

    @property
    def stopped(self) -> bool:
        """Whether a stop string is complete: no token behind it shows."""
        return self._until.stopped

    def add(self, token: int) -> str:
        """The text that shows with one more token; it may be empty."""
        return self._shown(self._characters.add(token))

    def end(self) -> str:
        """The text that was held back, when no more tokens come."""
        rest = self._shown(self._characters.end())
        if self._behind:
            rest += self._until.add(self._behind.end())
        return rest + self._until.end()

    def pieces(self, tokens: Iterable[int]) -> Iterator[str]:
        """The text of tokens in pieces, none of them empty; tokens behind a stop string are not asked for."""
        for token in tokens:
            if piece := self.add(token):
                yield piece
            if self.stopped:
                return
        if piece := self.end():
            yield piece

    def _shown(self, text: str) -> str:
        return self._until.add(self._behind.add(text) if self._behind else text)


class Characters:
    """The text of tokens: one that ends inside a character waits for the rest of it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, token: int) -> str:
        """The whole characters so far."""
        return self._decoder.decode(self._tokenizer.decode_bytes([token]))

    def end(self) -> str:
        """A character that was cut off shows as a replacement mark."""
        return self._decoder.decode(b"", final=True)


class Behind:
    """Text without a given beginning, and without the white space around that."""

    def __init__(self, lead: str) -> None:
        self._lead = lead
        self._begun: str | None = ""

    def add(self, text: str) -> str:
        """What stands behind the beginning."""
        if self._begun is None:
            return text
        self._begun = (self._begun + text).lstrip()
        behind = self._begun.removeprefix(self._lead).lstrip()
        if self._lead.startswith(self._begun) or not behind:
            return ""
        self._begun = None
        return behind

    def end(self) -> str:
        """A part of the beginning that nothing else followed."""
        return "" if self._begun is None else self._begun.removeprefix(self._lead).lstrip()


class Until:
    """Text up to the first stop string (left out); a possible beginning of one is held back."""

    def __init__(self, stop: Sequence[str]) -> None:
        self.stopped = False
        self._stop = stop
        self._held = ""

    def add(self, text: str) -> str:
        """What cannot be the beginning of a stop string any more."""
        if self.stopped:
            return ""
        held = self._held + text
        end = first(held, self._stop)
        self.stopped = end is not None
        free = len(held) - max((_begun(held, string) for string in self._stop), default=0) if end is None else end
        self._held = "" if self.stopped else held[free:]
        return held[:free]

    def end(self) -> str:
        """What was held back, as no stop string came of it."""
        held, self._held = self._held, ""
        return held


def before(text: str, stop: Sequence[str]) -> str:
    """A text up to the first stop string."""
    return text[: first(text, stop)]


def first(text: str, stop: Sequence[str]) -> int | None:
    """Where the stop string begins that is completed first."""
    ends = [(place + len(string), place) for string in stop if (place := text.find(string)) >= 0]
    return min(ends)[1] if ends else None


def _begun(text: str, string: str) -> int:
    """The number of characters at the end of a text that are the beginning of a string."""
    return next(size for size in range(min(len(text), len(string)), -1, -1) if text.endswith(string[:size]))
