"""What fine-tuning refuses before it trains."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.core import params
from components.core.errors import BadSettings
from components.stages import finetune
from components.tasks import prompts
from components.tokenizer.tokenizer import Tokenizer
from components.training.settings import Finetune
from tests.components.support.tiny import TASKS


def test_a_label_longer_than_an_answer_is_refused(tiny_model: Path) -> None:
    tokenizer = Tokenizer.load(tiny_model)
    settings = replace(params.read("finetune.assistant", Finetune), tasks={"topic": 1.0})
    longest = max(len(prompts.answer(label, tokenizer)) for label in TASKS["topic"].labels)
    tasks = {"topic": TASKS["topic"]}
    finetune.check_labels(replace(settings, max_answer_tokens=longest), tasks, tokenizer)
    with pytest.raises(BadSettings, match=rf"max_answer_tokens is {longest - 1}, but the label .* takes {longest}: "):
        finetune.check_labels(replace(settings, max_answer_tokens=longest - 1), tasks, tokenizer)
