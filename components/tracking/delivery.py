"""From the files to MLflow: each metric once, however often either side fails.

MLflow keeps one point of the same name, step, time and value, and all of these are in the file: sending a batch
again, when it is unknown whether it arrived, adds nothing. What a resumed stage repeats is recognised by its step.
"""

import logging
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.tracking import spool
from components.tracking.spool import SpoolEntry
from components.tracking.store import client, experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

LINES = 100  # per batch: one by one a point costs 40 times as much
POINTS = 1000  # MLflow accepts no more in one request
NOTE = "In the charts the axis `Step` counts the tokens seen; the step of the training is the metric `step`."

log = logging.getLogger("lmforge")


def find(key: str) -> str | None:
    """Id of the run whose stage had this digest, or None. What earlier stages left unsent is sent first.

    Raises `TryAgain` when MLflow is unavailable.
    """
    store = client()
    send_leftovers()
    return _find(store, experiment(store), key)


def send_leftovers() -> None:
    """Send what ended stages left unsent; a file that MLflow refuses stays, with a warning."""
    for path in spool.waiting():
        try:
            send_leftover(path)
        except Exception as error:  # whatever MLflow raises: it concerns that file, not the caller
            log.warning("MLflow did not take the metrics in %s: %s", path, one_line(error))


def send_leftover(path: Path) -> bool:
    """Send and remove the file of an ended stage; False while its stage lives, or another process sends it."""
    with spool.claimed(path) as ours:
        if ours:
            delivery = Delivery(path)
            delivery.send()
            delivery.close_as_killed()
            path.unlink()
    return not path.exists()


def one_line(error: Exception) -> str:
    """The first line of an error of MLflow."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class Delivery:
    """The transfer of a file to MLflow."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ended = False
        self._offset = 0
        self._run_id = ""
        self._last_steps: dict[str, int] = {}

    def send(self) -> None:
        """Send everything new in the file. After an error the next call continues from the same place."""
        store = client()
        while entries := list(islice(spool.read(self.path, self._offset), LINES)):
            self._send(store, [entry for _, entry in entries])
            self._offset = entries[-1][0]

    def close_as_killed(self) -> None:
        """End the run of a stage that could not record how it ended."""
        if self._run_id and not self.ended:
            client().set_terminated(self._run_id, "KILLED")

    def _send(self, store: "MlflowClient", entries: list[SpoolEntry]) -> None:
        for entry in entries:
            if "stage" in entry:
                self._open(store, entry)
        points, last_steps = _new_points(entries, self._last_steps)
        for start in range(0, len(points), POINTS):
            store.log_batch(self._run_id, metrics=points[start : start + POINTS])
        self._last_steps = last_steps
        for entry in entries:
            if "text" in entry:
                store.log_text(self._run_id, entry["text"], entry["name"])
            if "status" in entry:
                store.set_terminated(self._run_id, entry["status"], entry["time"])
                self.ended = True

    def _open(self, store: "MlflowClient", head: SpoolEntry) -> None:
        """Create the run of the stage, or find it by its digest, so that a resumed stage continues its run."""
        from mlflow.entities import Param
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

        where, stage, key = experiment(store), head["stage"], head["key"]
        run_id = _find(store, where, key)
        if run_id is None:
            tags = {"stage": stage, "stage_key": key, MLFLOW_RUN_NOTE: NOTE}
            run = store.create_run(where, start_time=head["time"], tags=tags, run_name=f"{stage} {key[:8]}")
            run_id = str(run.info.run_id)
        else:
            store.update_run(run_id, status="RUNNING")
        store.log_batch(run_id, params=[Param(name, value) for name, value in head["params"].items()])
        self._run_id, self._last_steps = run_id, _last_steps(store, run_id)


def _new_points(entries: list[SpoolEntry], last_steps: dict[str, int]) -> tuple[list["Metric"], dict[str, int]]:
    """The points after the last step of each metric, and the new last steps."""
    from mlflow.entities import Metric

    points, last_steps = [], dict(last_steps)
    for entry in entries:
        for name, value in entry.get("metrics", {}).items():
            if entry["step"] > last_steps.get(name, -1):
                points.append(Metric(name, value, entry["time"], entry["step"]))
                last_steps[name] = entry["step"]
    return points, last_steps


def _find(store: "MlflowClient", where: str, key: str) -> str | None:
    runs = store.search_runs([where], f"tags.stage_key = '{key}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


def _last_steps(store: "MlflowClient", run_id: str) -> dict[str, int]:
    """The last step of each metric of a run in MLflow."""
    latest: Any = store.get_run(run_id).data.to_proto().metrics
    return {metric.key: int(metric.step) for metric in latest}
