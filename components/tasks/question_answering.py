"""The task of finding a field's value in a passage that states it."""

from components.tasks.metrics import exact_match
from components.tasks.task import Task

QUESTION_ANSWERING = Task(
    name="question_answering",
    template="{context}\nQuestion: {question}",
    long_field="context",
    metric="exact_match",
    score=exact_match,
    extractive=True,
)
