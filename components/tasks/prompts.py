"""From examples and conversations to token ids: the only code for training, evaluation, chat and serving.

The token budget of a prompt depends on the recipe alone. When it was what the answer left of a window, the length of
a cut prompt revealed the label to a classifier: training learned that, and evaluation, which cut all prompts alike,
could not use it.
docs/decisions.md, "One budget for prompts"
"""

import bisect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from components.core.errors import BadData, RefusedTurns
from components.tasks.task import Task, trained_tasks
from components.tokenizer.tokenizer import Message, Tokenizer

BUDGET = "max_prompt_tokens"  # in the `training.json` of a model that was trained on tasks


class TooLong(BadData):
    """What is asked takes more tokens than the model reads, however it is cut."""


@dataclass(frozen=True)
class TrainedTasks:
    """The tasks that a model was trained on, and the budget of their prompts."""

    tasks: tuple[Task, ...]
    max_prompt_tokens: int

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the `training.json` of a model folder; no tasks when it has no budget."""
        tokens = budget(folder)
        if tokens is None:
            return cls((), 0)
        return cls(tuple((trained_tasks(folder) or {}).values()), tokens)

    def match(self, message: str) -> tuple[Task, dict[str, str]] | None:
        """The task that a user's message is a prompt of, and its inputs: of several the one with the most words."""
        found = [(task, inputs) for task in self.tasks if (inputs := task.inputs(message)) is not None]
        return max(found, key=lambda pair: pair[0].words, default=None)


def budget(folder: Path) -> int | None:
    """The maximum number of tokens in a prompt, from a model folder's `training.json`; None when it has none."""
    facts = folder / "training.json"
    found: int | None = json.loads(facts.read_text()).get(BUDGET) if facts.exists() else None
    return found


@dataclass(frozen=True)
class Prompt:
    """What is said before an answer, cut until it fits, as turns and as ids; and the inputs that it was made from."""

    turns: list[Message]
    ids: list[int]
    inputs: dict[str, str]


def fit(task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int) -> list[int]:
    """The ids of the prompt of an example, as by `fitted`."""
    return fitted(task, inputs, tokenizer, max_tokens).ids


def cut(task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int) -> dict[str, str]:
    """The inputs of an example with the long field cut as by `fitted`: what the model reads of them."""
    return fitted(task, inputs, tokenizer, max_tokens).inputs


def fitted(task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int) -> Prompt:
    """The prompt of an example of at most `max_tokens`. It ends where the answer begins.

    The long field is cut at its end. Of a conversation the oldest questions with their answers are dropped, then the
    last message is cut at its end; an answer never is. Raises `TooLong` when the rest is too long.
    """
    if task.kind == "conversation":
        return Prompt(*_fitting_turns(task, task.turns(inputs), tokenizer, max_tokens), dict(inputs))
    text = inputs.get(task.long_field, "")
    while True:
        kept = {**inputs, task.long_field: text}
        turns = task.turns(kept)
        ids = tokenizer.chat_prompt(turns)
        excess = len(ids) - max_tokens
        if excess <= 0:
            return Prompt(turns, ids, kept)
        if not text:
            raise _too_long(task, f"a prompt without its {task.long_field}", len(ids), max_tokens)
        text = tokenizer.without_end(text, excess)


def fits(task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int) -> bool:
    """Whether `fitted` finds a prompt. Raises `RefusedTurns` for a conversation that the chat template refuses."""
    if task.kind != "conversation":  # what is never cut decides
        return len(tokenizer.chat_prompt(task.turns({**inputs, task.long_field: ""}))) <= max_tokens
    try:
        learned(task, fitted(task, inputs, tokenizer, max_tokens), tokenizer)
    except TooLong:
        return False
    return True


def readable(task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int) -> bool:
    """Whether there is a prompt of an example: it fits, and the chat template takes its turns."""
    try:
        return fits(task, inputs, tokenizer, max_tokens)
    except RefusedTurns:
        return False


def learned(task: Task, prompt: Prompt, tokenizer: Tokenizer) -> list[bool]:
    """Which ids of a prompt are learned: the earlier answers of a conversation, but for those of weight 0."""
    if task.kind == "conversation":
        return tokenizer.chat_targets(prompt.turns)
    return [False] * len(prompt.ids)


def answer(target: str, tokenizer: Tokenizer) -> list[int]:
    """The answer of the assistant: the target and the end of its turn."""
    return tokenizer.reply(target.strip())


def longest_label(tasks: Iterable[Task], tokenizer: Tokenizer) -> int:
    """The tokens of the longest answer to a task that has labels; 0 when none has."""
    return max((len(answer(label, tokenizer)) for task in tasks for label in task.labels), default=0)


def of_conversation(
    conversation: Sequence[Message], trained: TrainedTasks, tokenizer: Tokenizer, room: int
) -> list[int]:
    """The prompt of a conversation, of at most `room` tokens.

    A user's message that is a prompt of a task is cut as in training, by `fit`, and the shots of the last one's task
    stand before it. Then the oldest questions with their answers are dropped until the rest fits; a system message
    stays. Raises `BadData` when the last message alone is too long.
    docs/decisions.md, "A message that is too long is refused, unless it is a prompt of a task"
    """
    *before, last = (_as_trained(message, trained, tokenizer) for message in conversation)
    match = trained.match(conversation[-1]["content"])
    shown = match[0].shown if match else []
    _, ids = _without_old_turns([*before, *shown, last], len(shown) + 1, tokenizer, room)
    if len(ids) > room:
        raise TooLong(f"the last message takes {len(ids)} tokens, and at most {room} fit: shorten it")
    return ids


def continues_text(folder: Path) -> bool:
    """Whether the model of a folder read documents alone: it continues a text, and answers no questions."""
    facts = folder / "training.json"
    return facts.exists() and "reading" in json.loads(facts.read_text()) and budget(folder) is None


def of_text(text: str, tokenizer: Tokenizer, room: int) -> list[int]:
    """A text as the beginning of a document, of at most `room` tokens. Raises `BadData` when it is too long."""
    ids = [tokenizer.start_of_text, *tokenizer.encode(text)]
    if len(ids) > room:
        raise TooLong(f"the text takes {len(ids)} tokens, and at most {room} fit: shorten it")
    return ids


def empty(tokenizer: Tokenizer) -> int:
    """The tokens of a prompt without text."""
    return len(tokenizer.chat_prompt([_user("")]))


def _as_trained(message: Message, trained: TrainedTasks, tokenizer: Tokenizer) -> Message:
    """A prompt of a task with its long field cut; any other message unchanged."""
    if message["role"] == "user" and (match := trained.match(message["content"])):
        task, inputs = match
        return _user(task.prompt(cut(task, inputs, tokenizer, trained.max_prompt_tokens)))
    return message


def _fitting_turns(
    task: Task, conversation: Sequence[Message], tokenizer: Tokenizer, room: int
) -> tuple[list[Message], list[int]]:
    """The turns of a conversation that fit, and their ids."""
    turns, ids = _without_old_turns(conversation, 1, tokenizer, room)
    while len(ids) > room:
        *before, last = turns
        if not last["content"]:
            raise _too_long(task, "a conversation without its last message", len(ids), room)
        content = tokenizer.without_end(last["content"], len(ids) - room)
        turns = [*before, {"role": last["role"], "content": content}]
        ids = tokenizer.chat_prompt(turns)
    return turns, ids


def _without_old_turns(
    conversation: Sequence[Message], kept: int, tokenizer: Tokenizer, room: int
) -> tuple[list[Message], list[int]]:
    """A conversation without as many of its oldest questions with their answers as it takes to fit, and its ids.

    A system message stays, and so do the last `kept` turns, whether they fit or not.
    """
    first = 1 if conversation[0]["role"] == "system" else 0
    system, turns = list(conversation[:first]), list(conversation[first:])
    begins = [place for place, turn in enumerate(turns) if place and turn["role"] == "user"]
    begins = [0, *(place for place in begins if len(turns) - place >= max(1, kept))]
    # Fewer turns take fewer tokens, so that not every beginning has to be tried.
    fits = bisect.bisect_left(begins, -room, key=lambda begin: -len(tokenizer.chat_prompt([*system, *turns[begin:]])))
    turns = turns[begins[min(fits, len(begins) - 1)] :]
    return [*system, *turns], tokenizer.chat_prompt([*system, *turns])


def _too_long(task: Task, what: str, tokens: int, room: int) -> TooLong:
    return TooLong(
        f"task {task.name}: {what} still takes {tokens} tokens and only {room} are free: shorten the rest of it, or "
        "raise max_prompt_tokens"
    )


def _user(content: str) -> Message:
    return {"role": "user", "content": content}
