"""The only adapter to MLflow runs: where they are stored, and one run for each training stage.

Training writes its metrics to a file; a process sends them from there, at once or as soon as MLflow answers again.
docs/decisions.md, "Training does not wait for MLflow"
"""

from components.tracking.delivery import find, send_leftovers
from components.tracking.run import Run, start
from components.tracking.store import SQLITE, client, experiment, is_there, moved_from, uri

__all__ = [
    "SQLITE",
    "Run",
    "client",
    "experiment",
    "find",
    "is_there",
    "moved_from",
    "send_leftovers",
    "start",
    "uri",
]
