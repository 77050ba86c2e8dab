"""The toy pipeline as a flow that a worker runs."""

from prefect import flow

from flows import dag, stages, training


@flow(name="toy", flow_run_name="{trigger}")
def train(trigger: str = "by hand") -> None:  # noqa: ARG001, the run's name
    """Run the graph of the current folder.

    Args:
        trigger: Why; it becomes the name of the run.
    """
    with stages.supervised():
        training.run_graph(dag.read_plan())
