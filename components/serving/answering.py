"""A loaded package: conversations in, answers out; for both `lmforge chat` and the served model."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from components.core.errors import BadSettings
from components.model import hf, labelling
from components.model.cpu_inference import pack
from components.model.generation import generate, stream
from components.model.interface import LanguageModel
from components.model.sampling import Sampling
from components.serving.reply import Reply, before, first
from components.serving.request import Options
from components.tasks import entities, prompts
from components.tasks.prompts import TrainedTasks
from components.tokenizer.tokenizer import Message, Tokenizer


def stopped(tokenizer: Tokenizer, stop: Sequence[str]) -> Callable[[Sequence[int]], bool]:
    """A function that returns whether the last of some tokens completed a stop string."""
    longest = max((len(string.encode()) for string in stop), default=0)

    def complete(tokens: Sequence[int]) -> bool:
        # Each token is a byte or more. If a special token, which has none, pushes out the beginning of a stop string,
        # generation continues needlessly, and `before` cuts the answer.
        return first(tokenizer.decode(tokens[-longest:]), stop) is not None

    return complete


Conversation = Sequence[Message]


@dataclass(frozen=True)
class AnswerWriter:
    """A model that generates its answers."""

    model: LanguageModel
    tokenizer: Tokenizer
    trained: TrainedTasks
    defaults: Options
    end: tuple[int, ...]  # tokens that end an answer
    repetition_penalty: float
    continues: bool  # the last message, as a document: it was trained on no task

    @classmethod
    def load(cls, package: Path) -> Self:
        """Load a package folder; its `generation_config.json` has the defaults."""
        generation = json.loads((package / "generation_config.json").read_text(encoding="utf-8"))
        return cls(
            model=pack(hf.load(package)),
            tokenizer=Tokenizer.load(package),
            trained=TrainedTasks.load(package),
            defaults=Options.of_package(generation),
            end=tuple(generation["eos_token_id"]),
            repetition_penalty=generation["repetition_penalty"],
            continues=prompts.continues_text(package),
        )

    def answers(self, conversations: Sequence[Conversation], options: Options) -> list[str]:
        """The answer to each conversation. Raises `BadData` when one is too long."""
        written = generate(
            self.model,
            [self.prompt(conversation, options) for conversation in conversations],
            max_new_tokens=options.max_new_tokens,
            start=self.tokenizer.end_of_text,
            stop=self.end,
            ended=stopped(self.tokenizer, options.stop) if options.stop else None,
            sampling=self.sampling(options),
            seed=options.seed,
        )
        return [before(self.tokenizer.decode_reply(ids), options.stop).strip() for ids in written]

    def stream(self, conversation: Conversation, options: Options) -> Iterator[str]:
        """The answer to a conversation as it is generated, in pieces of whole characters. Raises as `answers` does."""
        tokens = stream(
            self.model,
            self.prompt(conversation, options),
            max_new_tokens=options.max_new_tokens,
            start=self.tokenizer.end_of_text,
            stop=self.end,
            sampling=self.sampling(options),
            seed=options.seed,
        )
        return Reply(self.tokenizer, options.stop, self.tokenizer.lead).pieces(tokens)

    def prompt(self, conversation: Conversation, options: Options) -> list[int]:
        """The ids that the model reads. Raises `BadSettings` when the answer leaves no room for a prompt."""
        empty, config = prompts.empty(self.tokenizer), self.model.config
        room = config.max_prompt_tokens(options.max_new_tokens)
        if room < empty:
            window = config.max_sequence_length
            most = window - empty if config.architecture == "decoder" else window
            raise BadSettings(
                f"max_new_tokens is {options.max_new_tokens}: it should be at most {most}, as the window has {window} "
                f"tokens and a prompt takes {empty} or more"
            )
        if self.continues:
            return prompts.of_text(conversation[-1]["content"], self.tokenizer, room)
        return prompts.of_conversation(conversation, self.trained, self.tokenizer, room)

    def sampling(self, options: Options) -> Sampling:
        """How the tokens of an answer are drawn."""
        top_p = options.top_p if options.top_p < 1 else None
        return Sampling(options.temperature, top_p=top_p, repetition_penalty=self.repetition_penalty)


@dataclass(frozen=True)
class Labeller:
    """An encoder, which answers only the last message: with a label, or with a part of the message."""

    model: LanguageModel
    tokenizer: Tokenizer
    trained: TrainedTasks

    @classmethod
    def load(cls, package: Path) -> Self:
        """Load a package folder."""
        return cls(hf.load(package), Tokenizer.load(package), TrainedTasks.load(package))

    def answers(self, conversations: Sequence[Conversation]) -> list[str]:
        """The answer to each conversation. Raises `BadData` when the last message of one is too long."""
        read = [self.prompt(conversation) for conversation in conversations]
        asked = (conversation[-1]["content"] for conversation in conversations)
        said = labelling.reply(self.model, read)
        return [self.written(*one) for one in zip(asked, read, said, strict=True)]

    def written(self, asked: str, ids: Sequence[int], said: str | slice | Sequence[labelling.Found]) -> str:
        """A label, or what was found among the tokens, as the message has it."""
        if isinstance(said, str):
            return said
        if isinstance(said, slice):
            return entities.as_in(asked, self.tokenizer.decode(ids[said]).strip())
        return entities.written(
            (label, entities.as_in(asked, self.tokenizer.decode(ids[where]).strip())) for label, where in said
        )

    def prompt(self, conversation: Conversation) -> list[int]:
        """The ids that the model reads."""
        window = self.model.config.max_sequence_length
        return prompts.of_conversation(conversation[-1:], self.trained, self.tokenizer, window)


def load(package: Path) -> AnswerWriter | Labeller:
    """Load a package folder, which has a `generation_config.json` when its model generates text."""
    return AnswerWriter.load(package) if (package / "generation_config.json").exists() else Labeller.load(package)
