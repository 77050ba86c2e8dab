"""The pages of Prefect and MLflow, served on loopback until they are no longer wanted."""

import time
from contextlib import ExitStack, suppress
from pathlib import Path

from components import tracking
from flows import services

REPORT = Path("reports/report.html")

_LOOK_EVERY = 1.0  # seconds


def serve() -> None:
    """Start both servers, print their addresses, and end with Ctrl-C or SIGTERM."""
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        mlflow = stack.enter_context(services.mlflow_server(tracking.uri()))
        prefect = stack.enter_context(services.prefect_server())
        prefect.wait_until_ready(services.PREFECT_HEALTH)
        mlflow.wait_until_ready(services.MLFLOW_HEALTH)
        print(f"Prefect (runs, logs, plans)     {prefect.url}")
        print(f"MLflow (curves, registry)       {mlflow.url}")
        if REPORT.exists():
            print(f"Report (scores, samples)        {REPORT.resolve().as_uri()}")
        print("Ctrl-C ends both.", flush=True)
        while services.answers(prefect.url + services.PREFECT_HEALTH):
            time.sleep(_LOOK_EVERY)
        print("the run whose Prefect server this was has ended: start `lmforge ui` again")
