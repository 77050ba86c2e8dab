"""The tasks of translating a message of a program: from English to Chinese and back."""

from components.tasks.metrics import chrf
from components.tasks.task import Task

TRANSLATION_EN_ZH = Task(
    name="translation_en_zh",
    template="{text}\n中文：",
    long_field="text",
    metric="chrf",
    score=chrf,
)

TRANSLATION_ZH_EN = Task(
    name="translation_zh_en",
    template="{text}\nEnglish:",
    long_field="text",
    metric="chrf",
    score=chrf,
)
