"""Runs the graph of the current folder as the `train` flow does, without what follows the graph."""

import sys

from components.core.errors import StageError
from flows.processes import environment
from flows.services.server import prefect_server


def main(name: str) -> None:
    environment.prepare()
    with prefect_server() as server:
        from prefect import flow

        from flows.pipeline import dvc_process, stage_task, train

        server.wait_until_ready()
        stage_task.run_stage = stage_task.run_stage.with_options(retry_delay_seconds=0.1)

        @flow(name="toy", flow_run_name=name)
        def toy() -> None:
            with dvc_process.supervised():
                train.bring_up_to_date()

        toy()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except StageError as error:
        sys.exit(f"{error.code}: {error}")
