"""The same as `parallel.ordered` on the machines of a Ray cluster, which share folder and environment with this one.

docs/decisions.md, "Ray runs the batch functions as they are"
"""

import itertools
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from components.core.errors import BadSettings, TryAgain

WITHIN = 10  # seconds for an answer: Ray itself waits for minutes, and then ends the process

Task = TypeVar("Task")
Result = TypeVar("Result")


def ordered(address: str, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
    """`map` on all processors of the cluster at an address, `host:port`. Only a few results are in flight.

    What a lost machine was at is done again on another one. Errors of the function are raised as they are. Raises
    `BadSettings` without Ray or for a wrong address, `TryAgain` when the cluster does not answer or is lost.
    """
    try:
        ray = import_module("ray")  # an extra, which takes a second
    except ImportError:
        raise BadSettings("params.yaml: executor.kind is ray, which needs ray: .venv/bin/pip install ray") from None
    with _connected(ray, address):
        there = ray.remote(_there)
        folder = str(Path.cwd())
        started = (there.remote(folder, function, task) for task in tasks)
        waiting: deque[Any] = deque(itertools.islice(started, 2 * int(ray.cluster_resources().get("CPU", 1))))
        while waiting:
            yield _result(ray, waiting.popleft(), address)
            waiting.extend(itertools.islice(started, 1))


def _there(folder: str, function: Callable[[Task], Result], task: Task) -> Result:
    """What a worker does: paths lead from the folder that all machines share."""
    os.chdir(folder)
    return function(task)


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise BadSettings(f"params.yaml: executor.address is {address}: write it as HOST:PORT")
    try:
        socket.create_connection((host, int(port)), WITHIN).close()
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError, SystemExit) as error:
        raise TryAgain(f"the Ray cluster at {address} does not answer: {_line(error)}: is it started?") from error
    try:
        yield
    finally:
        ray.shutdown()


def _result(ray: Any, reference: Any, address: str) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)  # what the function raised, or else what Ray says of itself
        if isinstance(cause, Exception) and not isinstance(cause, ray.exceptions.RayError):
            raise cause from error
        raise TryAgain(f"the Ray cluster at {address} lost the work: {_line(cause or error)}: run again") from error


def _line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
