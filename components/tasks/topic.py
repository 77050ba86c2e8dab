"""The task of classifying a text by topic: the topics of Wikipedia's vital articles."""

from components.tasks.metrics import same
from components.tasks.task import Task

TOPIC = Task(
    name="topic",
    template="{text}\nTopic:",
    long_field="text",
    metric="accuracy",
    score=same,
    labels=(
        "Arts",
        "Biology and health sciences",
        "Everyday life",
        "Geography",
        "History",
        "Mathematics",
        "People",
        "Philosophy and religion",
        "Physical sciences",
        "Society and social sciences",
        "Technology",
    ),
)
