"""What something is, in one line."""

from components.tasks.metrics import rouge_l
from components.tasks.task import Task

DESCRIPTION = Task(
    name="description",
    # What is asked stands last in every template, next to the answer: a small model looks there.
    template="{text}\nIn one line, {title}:",
    long_field="text",
    metric="rouge_l",
    score=rouge_l,
)
