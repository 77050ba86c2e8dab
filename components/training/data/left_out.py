"""Examples that do not fit in a prompt, whatever is cut: a training leaves them out, and says how many.

docs/decisions.md, "Examples that are too long are left out and counted"
"""

import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.core.errors import BadData
from components.tasks import Task, prompts
from components.tokenizer.tokenizer import Tokenizer
from components.training.engine import distributed


@dataclass(frozen=True)
class LeftOut:
    """The ids of the examples of a split that do not fit, and of each task how many they are, and how many it has."""

    ids: frozenset[str]
    counts: Mapping[str, tuple[int, int]]

    def check(self, most: float | None, where: str) -> None:
        """Raise `BadData` when a task loses more than the share `most` of its examples, or all of them."""
        for task, (lost, total) in self.counts.items():
            if lost == total or (most is not None and lost > most * total):
                limit = "none is left" if lost == total else f"max_left_out is {most:g}"
                raise BadData(
                    f"{where}: {lost} of {total} examples of the task {task} are longer than max_prompt_tokens without "
                    f"what may be cut, and {limit}: shorten the rest of them, or raise max_prompt_tokens"
                )

    def tell(self, max_tokens: int) -> None:
        """Print a line about what was left out, if anything was, in the process of rank 0."""
        parts = [f"{lost} of {total} of {task}" for task, (lost, total) in self.counts.items() if lost]
        if parts and distributed.is_rank0():
            print(f"left out, as longer than a prompt of {max_tokens} tokens: {', '.join(parts)}", flush=True)

    def facts(self) -> dict[str, object]:
        """What was left out, for `training.json`; empty when nothing was."""
        found = {task: {"examples": lost, "of": total} for task, (lost, total) in self.counts.items() if lost}
        return {"left_out": found} if found else {}


def find(folder: Path, tasks: Mapping[str, Task], tokenizer: Tokenizer, max_prompt_tokens: int) -> LeftOut:
    """The examples of tasks in the Parquet files of a folder that do not fit in a prompt of `max_prompt_tokens`.

    What is never cut decides, and many examples have it in common; so most are not tokenized for it.
    """

    @functools.lru_cache(maxsize=1000)
    def fits(task: str, uncut: tuple[tuple[str, str], ...]) -> bool:
        return prompts.fits(tasks[task], dict(uncut), tokenizer, max_prompt_tokens)

    ids, totals, lost = set(), Counter[str](), Counter[str]()
    for row in _rows(folder, list(tasks)):
        task = tasks[row["task"]]
        inputs = json.loads(row["inputs"]).items()
        totals[task.name] += 1
        if not fits(task.name, tuple((name, value) for name, value in inputs if name != task.long_field)):
            lost[task.name] += 1
            ids.add(row["id"])
    return LeftOut(frozenset(ids), {task: (lost[task], total) for task, total in totals.items()})


def _rows(folder: Path, tasks: list[str]) -> Iterator[dict[str, str]]:
    table = ds.dataset(sorted(map(str, folder.glob("*.parquet"))))
    for batch in table.to_batches(columns=["id", "task", "inputs"], filter=pc.field("task").isin(tasks)):
        yield from batch.to_pylist()
