"""The toy pipeline as a flow that a worker runs."""

from prefect import flow

from flows.dvc import graph
from flows.pipeline import dvc_process
from flows.pipeline.train import run_graph


@flow(name="toy", flow_run_name="{trigger}")
def train(trigger: str = "by hand") -> None:  # noqa: ARG001, the run's name
    """Run the graph of the current folder.

    Args:
        trigger: Why; it becomes the name of the run.
    """
    with dvc_process.supervised():
        run_graph(graph.read_plan())
