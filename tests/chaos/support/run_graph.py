"""Runs the graph of the current folder as `lmforge run` does, without the registry that follows it."""

import signal
import sys

from components.core.errors import StageError, reporting_full_disk
from flows.processes import environment
from flows.services.server import prefect_server


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    environment.prepare()
    with prefect_server() as server:
        from prefect import flow

        from flows.pipeline import dvc_process, stage_task, train
        from flows.processes import locks

        server.wait_until_ready()
        stage_task.run_stage = stage_task.run_stage.with_options(retry_delay_seconds=0.1)

        @flow(name="graph")
        def graph() -> None:
            with dvc_process.supervised(), locks.hold("run", "another run is at work in this folder"):
                train.bring_up_to_date()

        graph()


if __name__ == "__main__":
    try:
        with reporting_full_disk():
            main()
    except StageError as error:
        print(f"lmforge: {error}", flush=True)
        sys.exit(error.code)
