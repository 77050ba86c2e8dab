"""From an example to token ids, the same for fine-tuning, evaluation and chat."""

from collections.abc import Mapping

from components.stage import BadData
from components.tasks.task import Task
from components.tokenizer.tokenizer import Tokenizer


def fit(task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int) -> list[int]:
    """The prompt of an example, its long field cut at the end until it takes at most `max_tokens`.

    It ends where the answer begins. Raises `BadData` when the other fields alone are too long.
    """
    text = inputs[task.long_field]
    while True:
        message = task.prompt({**inputs, task.long_field: text})
        ids = tokenizer.chat_prompt([{"role": "user", "content": message}])
        excess = len(ids) - max_tokens
        if excess <= 0:
            return ids
        if not text:
            raise BadData(
                f"task {task.name}: an example without its {task.long_field} still takes {len(ids)} tokens and only "
                f"{max_tokens} are free: raise max_example_tokens, or leave such rows out"
            )
        text = without_end(text, excess, tokenizer)


def answer(target: str, tokenizer: Tokenizer) -> list[int]:
    """What the assistant writes: the target and the end of its turn."""
    return [*tokenizer.encode(target), tokenizer.end_of_turn]


def without_end(text: str, tokens: int, tokenizer: Tokenizer) -> str:
    """The text without its last tokens."""
    kept = tokenizer.encode(text)[:-tokens]
    # A token may end inside a character, which then decodes to the replacement mark.
    return tokenizer.decode(kept).rstrip("\ufffd")
