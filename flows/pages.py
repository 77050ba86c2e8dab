"""The pages of Prefect and MLflow, served on loopback until they are no longer wanted."""

import time
from contextlib import ExitStack, suppress
from pathlib import Path

from components import tracking
from flows import services

REPORT = Path("reports/report.html")

_LOOK_EVERY = 1.0  # seconds
_MODE = "workflowType=machine_learning"  # or else MLflow opens its pages for generative AI, which show no curves


def serve(model: str) -> None:
    """Start both servers, print the addresses of runs and of the model, and end with Ctrl-C or SIGTERM."""
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        mlflow = stack.enter_context(services.mlflow_server(tracking.uri()))
        prefect = stack.enter_context(services.prefect_server())
        experiment = tracking.experiment(tracking.client())
        tracking.send_leftovers()
        prefect.wait_until_ready(services.PREFECT_HEALTH)
        mlflow.wait_until_ready(services.MLFLOW_HEALTH)
        print(f"Prefect (runs, logs, plans)     {prefect.url}/runs")
        print(f"MLflow (curves)                 {mlflow_runs(mlflow.url, experiment)}")
        print(f"MLflow (registry)               {mlflow.url}/#/models/{model}")
        if REPORT.exists():
            print(f"Report (scores, samples)        {REPORT.resolve().as_uri()}")
        print("Ctrl-C ends both.", flush=True)
        while services.answers(prefect.url + services.PREFECT_HEALTH):
            time.sleep(_LOOK_EVERY)
        print("the run whose Prefect server this was has ended: start `lmforge ui` again")


def mlflow_runs(url: str, experiment: str) -> str:
    """Address of the page with all runs of an experiment."""
    return f"{url}/#/experiments/{experiment}/runs?{_MODE}"


def mlflow_run(url: str, experiment: str, run: str) -> str:
    """Address of the page of one run."""
    return f"{url}/#/experiments/{experiment}/runs/{run}?{_MODE}"
