"""The one adapter to MLflow runs: where they are kept, and a run for each training stage.

A training writes its metrics to a file; a thread sends them from there, at once or whenever MLflow answers again.
"""

from components.tracking.delivery import find, send_leftovers
from components.tracking.run import Run, flatten, start
from components.tracking.store import SQLITE, client, experiment, is_there, moved_from, uri

__all__ = [
    "SQLITE",
    "Run",
    "client",
    "experiment",
    "find",
    "flatten",
    "is_there",
    "moved_from",
    "send_leftovers",
    "start",
    "uri",
]
