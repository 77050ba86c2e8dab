"""The model's predictions for the examples of a task."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from components.core.progress import Progress
from components.evaluation.selection import TaskExample
from components.model import labelling
from components.model.generation import generate, log_likelihoods
from components.model.interface import LanguageModel
from components.model.sampling import Sampling
from components.tasks import Task, entities
from components.tasks.prompts import answer, fit, readable
from components.tokenizer.message import Message
from components.tokenizer.tokenizer import Tokenizer

BATCH = 32  # prompts of similar length; with more of them, padding costs more than batching saves

SCHEMA = pa.schema(
    [
        ("example", pa.string()),
        ("task", pa.string()),
        ("prompt", pa.string()),
        ("target", pa.string()),
        ("prediction", pa.string()),
        ("score", pa.float64()),
        ("weight", pa.float64()),  # in the score of the task
    ]
)


@dataclass(frozen=True)
class Predictor:
    """A model with its tokenizer, and the limits of its prompts and answers."""

    model: LanguageModel
    tokenizer: Tokenizer
    max_prompt_tokens: int  # as in training
    max_new_tokens: int
    repetition_penalty: float

    def predict(self, task: Task, examples: Sequence[TaskExample], progress: Progress) -> list[str]:
        """A prediction for each example: the likeliest label, or free text, generated greedily or marked in the prompt.

        It is empty where an example is not readable. docs/decisions.md, "Classification by likelihood",
        "Examples that are too long are left out and counted"
        """
        if self.model.config.labels:
            answers = self._label if task.labels else self._find if task.kind == "spans" else self._mark
        else:
            answers = self._choose if task.labels else self._write
        prompts = {
            place: fit(task, example.inputs, self.tokenizer, self.max_prompt_tokens)
            for place, example in enumerate(examples)
            if readable(task, example.inputs, self.tokenizer, self.max_prompt_tokens)
        }
        predictions = [""] * len(examples)
        by_length = sorted(prompts, key=lambda place: len(prompts[place]))
        for start in range(0, len(by_length), BATCH):
            places = by_length[start : start + BATCH]
            for place, prediction in zip(places, answers(task, [prompts[p] for p in places]), strict=True):
                predictions[place] = prediction
            progress.advance(len(places), task=task.name)
        if self.model.config.labels and not task.labels:
            texts = [example.inputs[task.long_field] for example in examples]
            return [_as_in(text, task, said) for text, said in zip(texts, predictions, strict=True)]
        return predictions

    def _label(self, task: Task, prompts: Sequence[Sequence[int]]) -> list[str]:
        return labelling.classify(self.model, prompts, task.labels)

    def _mark(self, _task: Task, prompts: Sequence[Sequence[int]]) -> list[str]:
        marked = labelling.mark(self.model, prompts)
        return [self.tokenizer.decode(ids[where]).strip() for ids, where in zip(prompts, marked, strict=True)]

    def _find(self, _task: Task, prompts: Sequence[Sequence[int]]) -> list[str]:
        return [
            entities.written((label, self.tokenizer.decode(ids[where]).strip()) for label, where in found)
            for ids, found in zip(prompts, labelling.find(self.model, prompts), strict=True)
        ]

    def _choose(self, task: Task, prompts: Sequence[Sequence[int]]) -> list[str]:
        choices = [answer(label, self.tokenizer) for label in task.labels]
        best = log_likelihoods(self.model, prompts, choices, start=self.tokenizer.end_of_text).argmax(dim=1)
        return [task.labels[place] for place in best.tolist()]

    def _write(self, _task: Task, prompts: Sequence[Sequence[int]]) -> list[str]:
        answers = generate(
            self.model,
            prompts,
            max_new_tokens=self.max_new_tokens,
            start=self.tokenizer.end_of_text,
            stop=(self.tokenizer.end_of_turn, self.tokenizer.end_of_text),
            sampling=Sampling(repetition_penalty=self.repetition_penalty),
        )
        return [self.tokenizer.decode_reply(tokens) for tokens in answers]


def _as_in(text: str, task: Task, marked: str) -> str:
    """What an encoder marked, as the text has it: its tokenizer may have changed the case."""
    if task.kind != "spans":
        return entities.as_in(text, marked)
    return entities.written((label, entities.as_in(text, surface)) for label, surface, _ in entities.read(marked))


def table(task: Task, examples: Sequence[TaskExample], predictions: Sequence[str]) -> pa.Table:
    """The predictions with their scores, one row per example."""
    rows = [
        {
            "example": example.id,
            "task": task.name,
            "prompt": "\n".join(map(_said, task.turns(example.inputs))),
            "target": example.target,
            "prediction": prediction,
            "score": task.score(prediction, example.target),
            "weight": task.weight(prediction, example.target),
        }
        for example, prediction in zip(examples, predictions, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _said(turn: Message) -> str:
    """What was said, and by whom unless it was the user."""
    return turn["content"] if turn["role"] == "user" else f"{turn['role']}: {turn['content']}"
