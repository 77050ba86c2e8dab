"""Run a function over many tasks on the processors of this machine, and yield the results in order."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from components.core.kept import KeptFiles
from components.core.process import cores, die_with_parent
from components.core.progress import track

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


def remembered(
    function: Callable[[Task], bytes], tasks: Sequence[Task], keys: Sequence[str], known: KeptFiles, label: str
) -> list[Path]:
    """The files with what a function makes of each task: those that are kept under its key, and new ones."""
    missing = [number for number, key in enumerate(keys) if known.find(key) is None]
    made = ordered(function, [tasks[number] for number in missing])
    for number, content in zip(missing, track(made, "prepare", len(missing), label), strict=True):
        known.add(keys[number], content)
    return [path for key in keys if (path := known.find(key))]
