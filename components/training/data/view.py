"""An example as the model reads it, token by token, with what is learned of it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from components.model.transformer import IGNORED
from components.tokenizer.tokenizer import Tokenizer
from components.training.data.mixture import Segment


class ShownToken(NamedTuple):
    """A token of an example: its id, its text, and what is learned of it; "" where the loss does not look."""

    id: int
    text: str
    learned: str


def shown(segment: Segment, tokenizer: Tokenizer) -> Iterator[ShownToken]:
    """The tokens of a segment in the order in which the model reads and writes them.

    The target at a token is the next one, so the last target, which is never read, comes last.
    """
    for token in (*segment.source, segment.tokens[0]):
        yield ShownToken(token, _text(token, tokenizer), "")
    following = [*segment.tokens[1:], segment.targets[-1]]
    for token, target in zip(following, segment.targets, strict=True):
        yield ShownToken(token, _text(token, tokenizer), "" if target == IGNORED else "learned")


def shown_labels(segment: Segment, tokenizer: Tokenizer, labels: Sequence[str]) -> Iterator[ShownToken]:
    """The tokens that an encoder reads, each with the label that it learns there."""
    for token, target in zip(segment.tokens, segment.targets, strict=True):
        yield ShownToken(token, _text(token, tokenizer), "" if target == IGNORED else labels[target])


def shown_text(text: str, tokenizer: Tokenizer) -> Iterator[ShownToken]:
    """The tokens of a document, all of which are learned."""
    for token in tokenizer.encode(text):
        yield ShownToken(token, _text(token, tokenizer), "learned")


def _text(token: int, tokenizer: Tokenizer) -> str:
    """The text of a token, bytes that are no whole character as `\\xe4`; of a special token its name."""
    content = tokenizer.decode_bytes([token]).decode("utf-8", errors="backslashreplace")
    return tokenizer.special_names.get(token, content)
