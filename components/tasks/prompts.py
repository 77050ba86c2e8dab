"""From an example to token ids, the same for fine-tuning, evaluation and chat.

A prompt has one budget of tokens, which follows from nothing but the recipe. When what is left of a window after the
answer was the budget, the length of a cut prompt told a classifier which label was coming: training learned that, and
evaluation, which cut all prompts alike, had no use for it (docs/decisions.md, Prompts).
"""

import json
from collections.abc import Mapping
from pathlib import Path

from components.stage import BadData
from components.tasks.task import Task
from components.tokenizer.tokenizer import Tokenizer

BUDGET = "max_prompt_tokens"  # in the `training.json` of a model that was taught tasks


def budget(folder: Path) -> int | None:
    """The tokens that a prompt may take, as a model folder's `training.json` has it; None when nobody set any."""
    facts = folder / "training.json"
    found: int | None = json.loads(facts.read_text()).get(BUDGET) if facts.exists() else None
    return found


def fit(task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int) -> list[int]:
    """The prompt of an example, its long field cut at the end until it takes at most `max_tokens`.

    It ends where the answer begins. Raises `BadData` when the other fields alone are too long.
    """
    return _fitted(task, inputs, tokenizer, max_tokens)[1]


def cut(task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int) -> dict[str, str]:
    """The inputs of an example with the long field as `fit` cuts it: what the model reads of them."""
    return _fitted(task, inputs, tokenizer, max_tokens)[0]


def _fitted(
    task: Task, inputs: Mapping[str, str], tokenizer: Tokenizer, max_tokens: int
) -> tuple[dict[str, str], list[int]]:
    text = inputs[task.long_field]
    while True:
        kept = {**inputs, task.long_field: text}
        ids = tokenizer.chat_prompt([{"role": "user", "content": task.prompt(kept)}])
        excess = len(ids) - max_tokens
        if excess <= 0:
            return kept, ids
        if not text:
            raise BadData(
                f"task {task.name}: an example without its {task.long_field} still takes {len(ids)} tokens and only "
                f"{max_tokens} are free: raise max_prompt_tokens, or leave such rows out"
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
