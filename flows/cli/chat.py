"""The command `lmforge chat`: a conversation in the terminal, with the answer printed while it is generated."""

import contextlib
import io
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.core.errors import StageError

if TYPE_CHECKING:
    from components.serving.answering import Conversation
    from components.tokenizer.message import Message

QUIT = "/quit"

Answer = Callable[["Conversation"], Iterator[str]]
"""Maps a conversation to the pieces of its answer."""


def chat(
    prompt: Annotated[str | None, typer.Argument(help="Answer this, and exit.")] = None,
    version: Annotated[str, typer.Option(help="Alias or number of the version to talk to.")] = "champion",
    recipe: Annotated[str | None, typer.Option(help="Of the section finetune.", show_default="the only one")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="A text that ends an answer; may be given again.")] = None,
) -> None:
    """Talk to the champion."""
    from components.core.recipe import model_name
    from components.registry import store
    from flows import recipes

    converse(store.fetch(model_name(recipes.one(recipe)), version), prompt, stop or ())


def converse(package: Path, prompt: str | None, stop: Sequence[str] = ()) -> None:
    """Answer one prompt, or without one chat until the end of input or `/quit`; Ctrl-C ends an answer.

    Raises `StageError` for a prompt that cannot be answered, or an invalid `stop` text.
    """
    from components.serving import request

    answer = load(package, stop)
    if prompt is not None:
        _say(answer, request.conversation(prompt))
        return
    print(f"{QUIT} or Ctrl-D ends the conversation, Ctrl-C an answer.")
    conversation: list[Message] = []
    for message in _messages():
        turns = [*conversation, *request.conversation(message)]
        try:
            conversation = [*turns, {"role": "assistant", "content": _say(answer, turns)}]
        except StageError as error:  # the conversation goes on without this message
            print(error, file=sys.stderr)


def load(package: Path, stop: Sequence[str] = ()) -> Answer:
    """A function that answers from a package folder; each of the texts in `stop` ends an answer."""
    from components.serving import answering

    model = answering.load(package)
    if isinstance(model, answering.Labeller):
        return lambda conversation: iter(model.answers([conversation]))
    options = model.defaults.having({"stop": stop})
    return lambda conversation: model.stream(conversation, options.having({"seed": random.getrandbits(31)}))


def _messages() -> Iterator[str]:
    """The messages of the user, until there are no more; bytes that are not UTF-8 are reported later."""
    import readline  # noqa: F401 (gives `input` its history and line editing)

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    while True:
        try:
            message = input("> ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if message == QUIT:
            return
        if message:
            yield message


def _say(answer: Answer, conversation: "Conversation") -> str:
    """Print the answer while it is generated, and return it."""
    said = ""
    pieces = answer(conversation)
    with contextlib.suppress(KeyboardInterrupt):
        for piece in pieces:
            print(piece, end="", flush=True)
            said += piece
    print()
    return said
