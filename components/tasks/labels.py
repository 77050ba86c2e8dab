"""The labels of tasks that take them `from data`: the targets of the train examples, sorted."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.errors import BadData
from components.tasks import entities
from components.tasks.task import Task

MOST = 200
"""More different targets than these are free text: CLINC150 has 151 labels, Banking77 has 77."""


def resolve(tasks: Mapping[str, Task], train: Path) -> dict[str, Task]:
    """The tasks with the labels that the examples of a folder have.

    Raises `BadData` for a task that takes its labels from data and has fewer than two there, or more than `MOST`.
    """
    return {name: _resolved(task, train) if task.labels_from_data else task for name, task in tasks.items()}


def of_entities(task: Task, train: Path) -> tuple[str, ...]:
    """The labels of the entities in the train examples of a task, sorted."""
    table = pq.read_table(train, columns=["target"], filters=[("task", "=", task.name)], partitioning=None)
    return tuple(sorted({label for target in table["target"].to_pylist() for label, _, _ in entities.read(target)}))


def _resolved(task: Task, train: Path) -> Task:
    table = pq.read_table(train, columns=["target"], filters=[("task", "=", task.name)], partitioning=None)
    found: Iterable[str] = pc.unique(table["target"]).to_pylist()
    labels = tuple(sorted(found))
    if len(labels) > MOST:
        raise BadData(
            f"task {task.name}: its labels are `from data`, and the train examples have {len(labels)} different "
            f"targets, more than {MOST}: take out `labels`, choose another metric, and the answers are free text"
        )
    if len(labels) < 2:
        had = f"only the target {labels[0]!r}" if labels else "no example of it"
        raise BadData(f"task {task.name}: its labels are `from data`, and there is {had} in {train}")
    for shot in task.shots:
        if shot.target not in labels:
            raise BadData(f"task {task.name}: an example to show has the target {shot.target!r}, no label of the data")
    return replace(task, labels=labels, labels_from_data=False)
