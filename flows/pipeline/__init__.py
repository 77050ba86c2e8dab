"""One training run: the stages of the graph as tasks, and what Prefect shows of them."""
