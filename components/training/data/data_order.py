"""The data order of a training run: which rows a step read, and which step read a row.

Steps are numbered as in the curves: 1 is the first. The rows of all steps form one endless sequence, cut into
slots of a batch each (0, 1, ...). A step reads the next slot, unless the run rolled back to a checkpoint before it:
from there on all steps read later slots, and what was read in between has left no trace in the weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from components.training.data.source_mix import Phase
from components.training.data.windows import kind, slot_of, turn, turns_before

Table = Literal["documents", "examples", "new documents", "old documents"]
"""What a step reads. New documents are those that the version was not given from which a training goes on.

docs/decisions.md, "Rows of examples are numbered by turns, those of documents by slots"
"""
BY_SLOT = "documents"
"""The table whose rows are numbered by slots; those of all others are numbered by turns."""


class Taken(NamedTuple):
    """An example that a step read, and the number of its tokens in the input of the model."""

    step: int
    example: str
    source: str
    task: str
    tokens: int


@dataclass(frozen=True, kw_only=True)
class Rollback:
    """A rollback: at `step` to `back_to`, and the number of rows passed over from then on, by all rollbacks so far."""

    step: int
    back_to: int
    passed_over: int


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The data order of a training run."""

    seed: int
    steps: int
    batch_size: int  # rows
    length: int  # of a window of documents, in tokens
    reach: int  # tokens of a window that are used, including the one after it where it is predicted
    shares: tuple[tuple[Table, float], ...]  # the tables that the steps read, each step only one
    rollbacks: tuple[Rollback, ...]
    skipped_steps: tuple[int, ...]  # as spikes; they changed no weight
    phases: tuple[Phase, ...] | None = None  # the plan of the sources, where there is one

    def slot(self, step: int) -> int:
        """The slot that a step read, after all rollbacks."""
        _, behind = next(part for part in reversed(self._parts()) if part[0] < step)
        return behind + step - 1

    def step(self, slot: int) -> int | None:
        """The step that read a slot; None when none did, or it was rolled back."""
        for (first, behind), (last, _) in pairwise([*self._parts(), (self.steps, 0)]):
            if first <= slot - behind < last:
                return slot - behind + 1
        return None

    def places(self, step: int) -> np.ndarray:
        """The places of a step's rows in the endless sequence."""
        return self.slot(step) * self.batch_size + np.arange(self.batch_size)

    def end(self) -> int:
        """The place after the last one read."""
        return (self.slot(self.steps) + 1) * self.batch_size

    def table(self, step: int) -> Table:
        """The table that a step read."""
        return self.shares[kind(self.slot(step), self._shares)][0]

    def own_places(self, step: int) -> np.ndarray:
        """The places of a step's rows of documents among all rows of their table."""
        slot = self.slot(step)
        first = slot if self.table(step) == BY_SLOT else turn(slot, self._shares)
        return first * self.batch_size + np.arange(self.batch_size)

    def step_at(self, place: int, table: Table) -> int | None:
        """The step that read a row of documents, by its place among all rows of their table; None when none did."""
        number = place // self.batch_size
        slot = number if table == BY_SLOT else slot_of(number, self._number(table), self._shares)
        step = self.step(slot)
        return step if step is not None and self.table(step) == table else None

    def own_end(self, table: Table) -> int:
        """The place after the last one read, among all rows of a table of documents."""
        if table == BY_SLOT:
            return self.end()
        return turns_before(self.slot(self.steps) + 1, self._number(table), self._shares) * self.batch_size

    def steps_on(self, table: Table) -> Iterator[int]:
        """All steps that read rows of a table."""
        return (step for step in range(1, self.steps + 1) if self.table(step) == table)

    @property
    def _shares(self) -> list[float]:
        return [share for _, share in self.shares]

    def _number(self, table: Table) -> int:
        return [name for name, _ in self.shares].index(table)

    def _parts(self) -> Sequence[tuple[int, int]]:
        """Steps done before each part of the run that was not rolled back, and the slots passed over in it."""
        parts = [(0, 0)]
        for rollback in self.rollbacks:
            parts = [part for part in parts if part[0] < rollback.back_to]
            parts.append((rollback.back_to, rollback.passed_over // self.batch_size))
        return parts
