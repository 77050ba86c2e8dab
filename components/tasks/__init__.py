"""The tasks that the assistant is trained and evaluated on, one file per task."""

from components.tasks.description import DESCRIPTION
from components.tasks.question_answering import QUESTION_ANSWERING
from components.tasks.sentiment import SENTIMENT_EN, SENTIMENT_ZH
from components.tasks.task import Task
from components.tasks.topic import TOPIC
from components.tasks.translation import TRANSLATION_EN_ZH, TRANSLATION_ZH_EN

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        TOPIC,
        SENTIMENT_EN,
        SENTIMENT_ZH,
        DESCRIPTION,
        QUESTION_ANSWERING,
        TRANSLATION_EN_ZH,
        TRANSLATION_ZH_EN,
    )
}

__all__ = ["TASKS", "Task"]
