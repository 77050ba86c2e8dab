"""Examples of several tasks as packed rows, mixed in given shares, with a loss on the answers alone."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import torch

from components import stage
from components.model.transformer import IGNORED
from components.tasks import TASKS
from components.tasks.prompts import answer, fit
from components.tokenizer.tokenizer import Tokenizer
from components.training.batches import Batch

PADDING_SEGMENT = -1


@dataclass(frozen=True)
class Encoded:
    """One example: the ids of the prompt, and those of the answer with the end of the turn."""

    prompt: list[int]
    answer: list[int]


def load(folder: Path, tasks: Mapping[str, float]) -> dict[str, datasets.Dataset]:
    """The examples of each task in the Parquet files of a folder. Raises `BadData` when a task has none."""
    files = sorted(map(str, folder.glob("*.parquet")))
    datasets.disable_progress_bars()
    table = datasets.Dataset.from_parquet(files, cache_dir=str(stage.STATE / "datasets"), keep_in_memory=False)
    parts = {task: table.filter(lambda name, task=task: name == task, input_columns="task") for task in tasks}
    for task, part in parts.items():
        if not len(part):
            raise stage.BadData(
                f"{folder} holds no example of the task `{task}`: add a source, or take it out of tasks"
            )
    return parts


def mix(parts: Mapping[str, datasets.Dataset], shares: Mapping[str, float], seed: int) -> datasets.Dataset:
    """One dataset that draws from each task by its share; the smaller ones come several times."""
    total = sum(shares.values())
    return datasets.interleave_datasets(
        [parts[task].shuffle(seed=seed) for task in shares],
        probabilities=[share / total for share in shares.values()],
        seed=seed,
        stopping_strategy="all_exhausted",
    )


def encode(examples: datasets.Dataset, tokenizer: Tokenizer, max_tokens: int) -> Iterator[Encoded]:
    """The examples as ids; the prompt is cut so that both parts together fit into `max_tokens`."""
    for example in examples:
        reply = answer(example["target"], tokenizer)[: max_tokens // 2]
        task = TASKS[example["task"]]
        yield Encoded(fit(task, json.loads(example["inputs"]), tokenizer, max_tokens - len(reply)), reply)


def pack(examples: Iterator[Encoded], length: int, padding: int) -> Iterator[Batch]:
    """Rows of `length` tokens with whole examples side by side, each a segment of its own, as batches of one row."""
    row: list[Encoded] = []
    room = length
    for example in examples:
        size = len(example.prompt) + len(example.answer) - 1
        if size > room and row:
            yield _row(row, length, padding)
            row, room = [], length
        row.append(example)
        room -= size
    if row:
        yield _row(row, length, padding)


def stack(rows: list[Batch]) -> Batch:
    """Batches as one."""
    columns = zip(*((row.tokens_BT, row.targets_BT, row.segments_BT) for row in rows), strict=True)
    return Batch(*(torch.cat(column) for column in columns))


def _row(examples: list[Encoded], length: int, padding: int) -> Batch:
    tokens = np.full(length, padding)
    targets = np.full(length, IGNORED)
    segments = np.full(length, PADDING_SEGMENT)
    start = 0
    for number, example in enumerate(examples):
        ids = [*example.prompt, *example.answer]
        end = start + len(ids) - 1
        tokens[start:end] = ids[:-1]
        targets[end - len(example.answer) : end] = example.answer
        segments[start:end] = number
        start = end
    return Batch(*(torch.from_numpy(part)[None] for part in (tokens, targets, segments)))
