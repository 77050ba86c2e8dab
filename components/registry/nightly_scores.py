"""The scores of a model's champion over time: one MLflow run per model, with a point per night."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from components import tracking
from components.registry.store import Version

TAG = "nightly"  # its value is the name of the model


def metrics(scores: Mapping[str, Any]) -> dict[str, float]:
    """The bits per byte in a `scores.json`, when the model reads documents, and the score of each task."""
    found = {name: float(task["value"]) for name, task in sorted(scores["tasks"].items())}
    if "bits_per_byte" in scores:
        found = {"bits_per_byte": float(scores["bits_per_byte"]["all"]["value"]), **found}
    return found


def append(champion: Version, night: Mapping[str, float]) -> str:
    """Add the metrics of a night, and the number of the version that has them; returns the id of the run.

    The step of a point counts the nights; MLflow also stores the time.
    """
    from mlflow.entities import Metric

    store = tracking.client()
    where = tracking.experiment(store)
    known = store.search_runs([where], f"tags.{TAG} = '{champion.name}'", max_results=1)
    run = known[0] if known else store.create_run(where, tags={TAG: champion.name}, run_name=f"{champion.name} nightly")
    run_id, now = str(run.info.run_id), datetime.now(UTC)
    step = len(store.get_metric_history(run_id, "version")) + 1
    values = {**night, "version": float(champion.number)}
    points = [Metric(name, value, int(now.timestamp() * 1000), step) for name, value in values.items()]
    store.log_batch(run_id, metrics=points)
    return run_id
