"""The task of saying what something is, in one line."""

from components.tasks.metrics import rouge_l
from components.tasks.task import Task

DESCRIPTION = Task(
    name="description",
    # The question comes last in every template, next to the answer: a small model looks there.
    # docs/decisions.md, "What is asked stands last in a prompt"
    template="{text}\nIn one line, {title}:",
    long_field="text",
    metric="rouge_l",
    score=rouge_l,
)
