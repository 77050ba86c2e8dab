"""A conversation in the terminal, with the answer appearing as it is written."""

import codecs
import contextlib
import json
import random
import readline  # noqa: F401 (gives `input` its history and line editing)
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from components.model import hf
from components.model.generation import Sampling, stream
from components.model.transformer import Transformer
from components.tasks.prompts import without_end
from components.tokenizer.tokenizer import Message, Tokenizer

QUIT = "/quit"


@dataclass(frozen=True)
class Assistant:
    """A package, loaded: the model and how it speaks."""

    model: Transformer
    tokenizer: Tokenizer
    max_new_tokens: int
    stop: tuple[int, ...]
    sampling: Sampling

    @classmethod
    def load(cls, package: Path) -> Self:
        """From a package folder; its `generation_config.json` says how to sample."""
        config = json.loads((package / "generation_config.json").read_text(encoding="utf-8"))
        temperature = config["temperature"] if config["do_sample"] else 0.0
        return cls(
            model=hf.load(package),
            tokenizer=Tokenizer.load(package),
            max_new_tokens=config["max_new_tokens"],
            stop=tuple(config["eos_token_id"]),
            sampling=Sampling(
                temperature, config.get("top_k"), config.get("top_p"), repetition_penalty=config["repetition_penalty"]
            ),
        )

    def reply(self, conversation: list[Message], seed: int) -> Iterator[str]:
        """The answer to the last message, in pieces of whole characters."""
        prompt = fit(conversation, self.tokenizer, self.model.config.max_sequence_length - self.max_new_tokens)
        tokens = stream(
            self.model,
            prompt,
            max_new_tokens=self.max_new_tokens,
            stop=self.stop,
            sampling=self.sampling,
            seed=seed,
        )
        return characters(tokens, self.tokenizer)


def chat(package: Path, prompt: str | None) -> None:
    """Answer one prompt, or without one talk until the end of input or `/quit`; Ctrl-C stops an answer."""
    assistant = Assistant.load(package)
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


def characters(tokens: Iterable[int], tokenizer: Tokenizer) -> Iterator[str]:
    """The text of tokens as they come; one that ends inside a character waits for the rest of it."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    for token in tokens:
        if text := decoder.decode(tokenizer.decode_bytes([token])):
            yield text
    if rest := decoder.decode(b"", final=True):
        yield rest


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


def _say(assistant: Assistant, conversation: list[Message]) -> str:
    """Print the answer as it comes, and give it back."""
    said = ""
    with contextlib.suppress(KeyboardInterrupt):
        for piece in assistant.reply(conversation, seed=random.getrandbits(31)):
            print(piece, end="", flush=True)
            said += piece
    print()
    return said
