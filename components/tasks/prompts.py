"""From examples and conversations to token ids: the only code for training, evaluation, chat and serving.

The token budget of a prompt depends on the recipe alone. When it was what the answer left of a window, the length of
a cut prompt revealed the label to a classifier: training learned that, and evaluation, which cut all prompts alike,
could not use it.
docs/decisions.md, "One budget for prompts"
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from components.core.errors import BadData
from components.tasks.task import Task, taught_tasks
from components.tokenizer.tokenizer import Message, Tokenizer

BUDGET = "max_prompt_tokens"  # in the `training.json` of a model that was trained on tasks


@dataclass(frozen=True)
class Taught:
    """The tasks that a model was trained on, and the budget of their prompts."""

    tasks: tuple[Task, ...]
    max_prompt_tokens: int

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the `training.json` of a model folder; no tasks when it has no budget."""
        tokens = budget(folder)
        if tokens is None:
            return cls((), 0)
        return cls(tuple((taught_tasks(folder) or {}).values()), tokens)

    def meant(self, message: str) -> tuple[Task, dict[str, str]] | None:
        """The task that a user's message is a prompt of, and its inputs: of several the one with the most words."""
        found = [(task, inputs) for task in self.tasks if (inputs := task.inputs(message)) is not None]
        return max(found, key=lambda pair: pair[0].words, default=None)


def budget(folder: Path) -> int | None:
    """The maximum number of tokens in a prompt, from a model folder's `training.json`; None when it has none."""
    facts = folder / "training.json"
    found: int | None = json.loads(facts.read_text()).get(BUDGET) if facts.exists() else None
    return found


def fit(task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int) -> list[int]:
    """The prompt of an example, its long field cut at the end until it takes at most `max_tokens`.

    It ends where the answer begins. Raises `BadData` when the other fields alone are too long.
    """
    return _fitted(task, inputs, tokenizer, max_tokens)[1]


def cut(task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int) -> dict[str, str]:
    """The inputs of an example with the long field cut as by `fit`: what the model reads of them."""
    return _fitted(task, inputs, tokenizer, max_tokens)[0]


def _fitted(
    task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int
) -> tuple[dict[str, str], list[int]]:
    if task.kind == "conversation":
        return dict(inputs), _without_old_turns(task.turns(inputs), [], tokenizer, max_tokens)
    text = inputs.get(task.long_field, "")
    while True:
        kept = {**inputs, task.long_field: text}
        ids = tokenizer.chat_prompt(task.turns(kept))
        excess = len(ids) - max_tokens
        if excess <= 0:
            return kept, ids
        if not text:
            raise BadData(
                f"task {task.name}: a prompt without its {task.long_field} still takes {len(ids)} tokens and only "
                f"{max_tokens} are free: shorten the rest of it, or raise max_prompt_tokens"
            )
        text = _without_end(text, excess, tokenizer)


def answer(target: str, tokenizer: Tokenizer) -> list[int]:
    """The answer of the assistant: the target and the end of its turn."""
    return [*tokenizer.encode(target), tokenizer.end_of_turn]


def longest_label(tasks: Iterable[Task], tokenizer: Tokenizer) -> int:
    """The tokens of the longest answer to a task that has labels; 0 when none has."""
    return max((len(answer(label, tokenizer)) for task in tasks for label in task.labels), default=0)


def of_conversation(conversation: Sequence[Message], taught: Taught, tokenizer: Tokenizer, room: int) -> list[int]:
    """The prompt of a conversation, of at most `room` tokens.

    A user's message that is a prompt of a task is cut as in training, by `fit`, and the shots of the last one's task
    stand before it. Then the oldest questions with their answers are dropped until the rest fits; a system message
    stays. Raises `BadData` when the last message alone is too long.
    docs/decisions.md, "A message that is too long is refused, unless it is a prompt of a task"
    """
    *before, last = (_as_taught(message, taught, tokenizer) for message in conversation)
    meant = taught.meant(conversation[-1]["content"])
    shown = meant[0].shown if meant else []
    return _without_old_turns([*before, *shown, last], [*shown, last], tokenizer, room)


def empty(tokenizer: Tokenizer) -> int:
    """The tokens of a prompt without text."""
    return len(tokenizer.chat_prompt([_user("")]))


def _as_taught(message: Message, taught: Taught, tokenizer: Tokenizer) -> Message:
    """A prompt of a task with its long field cut; any other message unchanged."""
    if message["role"] == "user" and (meant := taught.meant(message["content"])):
        task, inputs = meant
        return _user(task.prompt(cut(task, inputs, tokenizer, taught.max_prompt_tokens)))
    return message


def _without_old_turns(
    conversation: Sequence[Message], kept: Sequence[Message], tokenizer: Tokenizer, room: int
) -> list[int]:
    """The prompt of a conversation, without as many of its oldest questions with their answers as it takes to fit.

    A system message stays, and so does `kept`, the end of the conversation. Raises `BadData` when the rest is too long.
    """
    first = 1 if conversation[0]["role"] == "system" else 0
    system, turns = conversation[:first], list(conversation[first:])
    while len(ids := tokenizer.chat_prompt([*system, *turns])) > room:
        later = (place for place, turn in enumerate(turns) if place and turn["role"] == "user")
        turns = turns[next(later, len(turns)) :]
        if len(turns) < max(1, len(kept)):
            raise BadData(f"the last message takes {len(ids)} tokens, and at most {room} fit: shorten it")
    return ids


def _without_end(text: str, tokens: int, tokenizer: Tokenizer) -> str:
    """The text without its last tokens."""
    kept = tokenizer.encode(text)[:-tokens]
    # A token may end inside a character, which then decodes to the replacement character.
    return tokenizer.decode(kept).rstrip("\ufffd")


def _user(content: str) -> Message:
    return {"role": "user", "content": content}
