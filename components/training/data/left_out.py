"""Examples that a model cannot read: a training leaves them out, and says how many.

They do not fit in a prompt, whatever is cut, or the chat template refuses their turns.
docs/decisions.md, "Examples that are too long are left out and counted"
"""

import functools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.core.errors import BadData, RefusedTurns
from components.tasks import Task, prompts
from components.tokenizer.tokenizer import Tokenizer
from components.training.engine import distributed


@dataclass(frozen=True)
class Count:
    """How many of the examples of a task are left out, and why."""

    of: int  # examples of the task, those that are left out included
    too_long: int = 0
    refused: int = 0  # by the chat template
    why: str = ""  # the chat template refused the first of them

    @property
    def lost(self) -> int:
        """The examples that are left out."""
        return self.too_long + self.refused

    def problem(self) -> str:
        """What is wrong with the examples that are left out."""
        reasons = {"longer than max_prompt_tokens without what may be cut": self.too_long, self.why: self.refused}
        return ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)

    def remedy(self) -> str:
        """What to do about them."""
        remedies = {"shorten the rest of them, or raise max_prompt_tokens": self.too_long, "mend turns": self.refused}
        return "; ".join(remedy for remedy, count in remedies.items() if count)


@dataclass(frozen=True)
class LeftOut:
    """The ids of the examples of a split that are left out, and the count of each task."""

    ids: frozenset[str] = frozenset()
    counts: Mapping[str, Count] = field(default_factory=dict)

    def check(self, most: float | None, where: str) -> None:
        """Raise `BadData` when a task loses more than the share `most` of its examples, or all of them."""
        for task, count in self.counts.items():
            if count.lost == count.of or (most is not None and count.lost > most * count.of):
                limit = "none is left" if count.lost == count.of else f"max_left_out is {most:g}"
                raise BadData(
                    f"{where}: {count.lost} of {count.of} examples of the task {task} are left out "
                    f"({count.problem()}), and {limit}: {count.remedy()}"
                )

    def tell(self, max_tokens: int) -> None:
        """Print what was left out, if anything was, in the process of rank 0."""
        counts = self.counts.items()
        too_long = [f"{count.too_long} of {count.of} of {task}" for task, count in counts if count.too_long]
        refused = [f"{count.refused} of {count.of} of {task} ({count.why})" for task, count in counts if count.refused]
        reasons = {f"longer than a prompt of {max_tokens} tokens": too_long, "refused by the chat template": refused}
        for reason, parts in reasons.items():
            if parts and distributed.is_rank0():
                print(f"left out, as {reason}: {', '.join(parts)}", flush=True)

    def facts(self) -> dict[str, object]:
        """What was left out, for `training.json`; empty when nothing was."""
        found = {task: {"examples": count.lost, "of": count.of} for task, count in self.counts.items() if count.lost}
        return {"left_out": found} if found else {}


def find(folder: Path, tasks: Mapping[str, Task], tokenizer: Tokenizer, max_prompt_tokens: int) -> LeftOut:
    """The examples of tasks in the Parquet files of a folder that a model with this budget of prompts cannot read.

    Of a text what is never cut decides, and many examples have it in common; so most are not tokenized for it.
    """

    @functools.lru_cache(maxsize=1000)
    def fits(task: str, uncut: tuple[tuple[str, str], ...]) -> bool:
        return prompts.fits(tasks[task], dict(uncut), tokenizer, max_prompt_tokens)

    ids, totals, long, refused, why = set(), Counter[str](), Counter[str](), Counter[str](), dict[str, str]()
    for row in _rows(folder, list(tasks)):
        task = tasks[row["task"]]
        inputs = json.loads(row["inputs"]).items()
        totals[task.name] += 1
        try:
            if fits(task.name, tuple((name, value) for name, value in inputs if name != task.long_field)):
                continue
            long[task.name] += 1
        except RefusedTurns as error:
            refused[task.name] += 1
            why.setdefault(task.name, str(error))
        ids.add(row["id"])
    counts = {task: Count(total, long[task], refused[task], why.get(task, "")) for task, total in totals.items()}
    return LeftOut(frozenset(ids), counts)


def _rows(folder: Path, tasks: list[str]) -> Iterator[dict[str, str]]:
    table = ds.dataset(sorted(map(str, folder.glob("*.parquet"))))
    for batch in table.to_batches(columns=["id", "task", "inputs"], filter=pc.field("task").isin(tasks)):
        yield from batch.to_pylist()
