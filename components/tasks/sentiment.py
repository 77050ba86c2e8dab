"""The tasks of classifying a review as positive or negative, in English and in Chinese."""

from components.tasks.metrics import same
from components.tasks.task import Task

SENTIMENT_EN = Task(
    name="sentiment_en",
    template="{text}\nSentiment:",
    long_field="text",
    metric="accuracy",
    score=same,
    labels=("positive", "negative"),
)

SENTIMENT_ZH = Task(
    name="sentiment_zh",
    template="{text}\n评价：",
    long_field="text",
    metric="accuracy",
    score=same,
    labels=("正面", "负面"),
)
