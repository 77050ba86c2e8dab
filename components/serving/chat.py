"""A conversation in the terminal, with the answer appearing as it is written."""

import contextlib
import json
import random
import readline  # noqa: F401 (gives `input` its history and line editing)
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from components.model import hf, labelling
from components.model.generation import Sampling, stream
from components.model.packed import pack
from components.model.transformer import Transformer
from components.tasks.prompts import without_end
from components.tokenizer.text import characters, until
from components.tokenizer.tokenizer import Message, Tokenizer

QUIT = "/quit"


@dataclass(frozen=True)
class Assistant:
    """A package, loaded: a model that writes, and how."""

    model: Transformer
    tokenizer: Tokenizer
    max_new_tokens: int
    stop: tuple[int, ...]
    stop_strings: tuple[str, ...]
    sampling: Sampling

    @classmethod
    def load(cls, package: Path, stop: Sequence[str]) -> Self:
        """From a package folder; its `generation_config.json` says how to sample. `stop`: texts that end an answer."""
        config = json.loads((package / "generation_config.json").read_text(encoding="utf-8"))
        temperature = config["temperature"] if config["do_sample"] else 0.0
        return cls(
            model=pack(hf.load(package)),
            tokenizer=Tokenizer.load(package),
            max_new_tokens=config["max_new_tokens"],
            stop=tuple(config["eos_token_id"]),
            stop_strings=tuple(stop),
            sampling=Sampling(
                temperature, config.get("top_k"), config.get("top_p"), repetition_penalty=config["repetition_penalty"]
            ),
        )

    def reply(self, conversation: list[Message], seed: int) -> Iterator[str]:
        """The answer to the last message, in pieces of whole characters."""
        prompt = fit(conversation, self.tokenizer, self.model.config.room(self.max_new_tokens))
        tokens = stream(
            self.model,
            prompt,
            max_new_tokens=self.max_new_tokens,
            start=self.tokenizer.end_of_text,
            stop=self.stop,
            sampling=self.sampling,
            seed=seed,
        )
        return until(characters(tokens, self.tokenizer), self.stop_strings)


@dataclass(frozen=True)
class Labeller:
    """A package, loaded: an encoder, which answers the last message alone."""

    model: Transformer
    tokenizer: Tokenizer

    def reply(self, conversation: list[Message], seed: int) -> Iterator[str]:  # noqa: ARG002 (nothing to draw)
        """The label of the last message, or what the model marks in it."""
        prompt = fit(conversation[-1:], self.tokenizer, self.model.config.max_sequence_length)
        [said] = labelling.reply(self.model, [prompt])
        yield said if isinstance(said, str) else self.tokenizer.decode(prompt[said]).strip()


def load(package: Path, stop: Sequence[str] = ()) -> Assistant | Labeller:
    """What a package folder holds; `generation_config.json` is there when it writes, and says how."""
    if (package / "generation_config.json").exists():
        return Assistant.load(package, stop)
    return Labeller(hf.load(package), Tokenizer.load(package))


def chat(package: Path, prompt: str | None, stop: Sequence[str] = ()) -> None:
    """Answer one prompt, or without one talk until the end of input or `/quit`; Ctrl-C ends an answer."""
    assistant = load(package, stop)
    if prompt is not None:
        _say(assistant, [{"role": "user", "content": prompt}])
        return
    print(f"{QUIT} or Ctrl-D ends the conversation, Ctrl-C an answer.")
    conversation: list[Message] = []
    while (message := _ask()) is not None:
        conversation.append({"role": "user", "content": message})
        conversation.append({"role": "assistant", "content": _say(assistant, conversation)})


def fit(conversation: list[Message], tokenizer: Tokenizer, max_tokens: int) -> list[int]:
    """The prompt of a conversation: its oldest turns left out, and at last its only message cut, until it fits."""
    turns = list(conversation)
    while (excess := len(ids := tokenizer.chat_prompt(turns)) - max_tokens) > 0:
        if len(turns) > 1:
            turns = turns[2:]  # a question goes with its answer
        else:
            turns = [{"role": "user", "content": without_end(turns[0]["content"], excess, tokenizer)}]
    return ids


def _ask() -> str | None:
    """The next message of the user, or None when there is no more."""
    try:
        message = input("> ").strip()
    except (EOFError, KeyboardInterrupt):
        print()
        return None
    if message == QUIT:
        return None
    return message or _ask()


def _say(assistant: Assistant | Labeller, conversation: list[Message]) -> str:
    """Print the answer as it comes, and give it back."""
    said = ""
    with contextlib.suppress(KeyboardInterrupt):
        for piece in assistant.reply(conversation, seed=random.getrandbits(31)):
            print(piece, end="", flush=True)
            said += piece
    print()
    return said
