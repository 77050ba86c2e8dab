"""Addresses of the pages of Prefect and MLflow, and of the pages of runs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from components import tracking
from components.core.recipe import model_name
from flows.processes import worktree
from flows.services import network, service, state

_MODE = "workflowType=machine_learning"  # otherwise MLflow opens its pages for generative AI, which show no curves

DATA = Path("reports/data.html")
"""The page about the data, to which each report page links."""


def report(recipe: str) -> Path:
    """The report page of a recipe's model."""
    return Path(f"reports/report-{recipe}.html")


def addresses(record: Mapping[str, Any], recipes: Sequence[str]) -> Iterator[str]:
    """A line for each page that a user may want, from the state of the services."""
    found = record["services"]
    yield f"Prefect (runs, schedules)       {found['prefect']['page']}/runs"
    if "mlflow" in found:
        page, experiment = found["mlflow"]["page"], tracking.experiment(tracking.client())
        yield f"MLflow (curves)                 {mlflow_runs(page, experiment)}"
        for name in map(model_name, recipes):
            yield f"MLflow (registry)               {page}/#/models/{name}"
    if "serve" in found:
        yield f"OpenAI's API (models answer)    {found['serve']['page']}/v1"
    for path in filter(Path.exists, map(report, recipes)):
        yield f"Report (scores, samples, data)  {found['pages']['page']}/{worktree.BY_HAND}/{path}"


def mlflow() -> str:
    """The address of MLflow's pages, or the default one while they are not served."""
    with suppress(KeyError):
        return str(state.read()["services"]["mlflow"]["page"])
    return f"http://{network.HOST}:{service.MLFLOW_PORT}"


def of_run(path: Path) -> str | None:
    """Address of a page of the current run, such as its report; None when `lmforge up` serves no pages."""
    with suppress(KeyError):
        page = state.read()["services"]["pages"]["page"]
        return f"{page}/{Path.cwd().name if worktree.main_tree() else worktree.BY_HAND}/{path}"
    return None


def mlflow_runs(url: str, experiment: str) -> str:
    """Address of the page with all runs of an experiment."""
    return f"{url}/#/experiments/{experiment}/runs?{_MODE}"


def mlflow_run(url: str, experiment: str, run: str) -> str:
    """Address of the page of one run."""
    return f"{url}/#/experiments/{experiment}/runs/{run}?{_MODE}"
