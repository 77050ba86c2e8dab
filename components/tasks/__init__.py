"""The tasks that a model can be trained on: `data/tasks.yaml` as typed objects, their prompts and their metrics."""

from components.tasks.task import Shot, Task

__all__ = ["Shot", "Task"]
