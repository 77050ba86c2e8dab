"""Run a function over many tasks on the processors of this machine or of others, and yield the results in order."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from components.core.kept import KeptFiles
from components.core.process import cores, die_with_parent
from components.core.progress import track
from components.data.settings import Executor
from components.data.tables import on_ray

FEW = 4  # tasks, which are done before other processes would have started

Task = TypeVar("Task")
Result = TypeVar("Result")


def ordered(function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
    """`map` on all processors. Only a few results are buffered, so memory does not grow with the number of tasks."""
    workers = len(cores())
    if workers == 1 or len(tasks) <= FEW:
        yield from map(function, tasks)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=die_with_parent) as pool:
        remaining = iter(tasks)
        waiting: deque[Future[Result]] = deque(
            pool.submit(function, task) for task in itertools.islice(remaining, 2 * workers)
        )
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, task) for task in itertools.islice(remaining, 1))


class Ordered(Protocol):
    """`map` by an executor, whose results come in the order of the tasks."""

    def __call__(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]: ...


def executor(settings: Executor) -> Ordered:
    """The one that the settings ask for."""
    return partial(on_ray.ordered, settings.address) if settings.address else ordered


class Batches(NamedTuple):
    """What works on batches, and what is kept of that."""

    known: KeptFiles
    ordered: Ordered

    def remembered(
        self, function: Callable[[Task], bytes], tasks: Sequence[Task], keys: Sequence[str], label: str
    ) -> list[Path]:
        """The files with what a function makes of each task: those that are kept under its key, and new ones."""
        missing = [number for number, key in enumerate(keys) if self.known.find(key) is None]
        made = self.ordered(function, [tasks[number] for number in missing])
        for number, content in zip(missing, track(made, "prepare", len(missing), label), strict=True):
            self.known.add(keys[number], content)
        return [path for key in keys if (path := self.known.find(key))]
