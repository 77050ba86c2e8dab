"""GET /v1/tasks, POST /v1/tasks/NAME and /v1/classify: the tasks that a model was trained on, from inputs by field."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

from components.api import asking, generating, shown
from components.api.errors import ApiError
from components.api.exchange import House
from components.api.generating import Answers
from components.api.loaded import Loaded
from components.api.requests import ClassifyRequest, TaskRequest
from components.api.shown import Collected
from components.model import labelling
from components.model.generation import log_likelihoods
from components.serving.answering import AnswerWriter, Labeller
from components.serving.engine import Generation
from components.serving.reply import Reply
from components.tasks import prompts
from components.tasks.task import Task
from components.traffic.served import Said

ROUTE = "/v1/tasks"


@dataclass(frozen=True)
class Asked:
    """An example of a task: the input that an answer may be a part of, and the ids that the model reads."""

    text: str
    ids: list[int]


def listed(version: Loaded) -> list[dict[str, Any]]:
    """The tasks that a version was trained on: their inputs in the order of the prompt, and their labels."""
    return [
        {
            "name": task.name,
            "object": "task",
            "inputs": [
                {"name": field, "required": field in task.needed, "long": field == task.long_field}
                for field in task.fields
            ],
            "labels": [*task.labels],
        }
        for task in _known(version)
    ]


async def classify(asked: ClassifyRequest, house: House, version: Loaded) -> Response:
    """The label of each input, with the probabilities of all labels. Raises `ApiError`."""
    task = _to_classify(version, asked.task)
    inputs = asked.input if isinstance(asked.input, list) else [asked.input]
    examples = [{_main_field(task): one} if isinstance(one, str) else one for one in inputs]
    return await _answer(house, task, examples, asked, version)


async def answer(name: str, asked: TaskRequest, house: House, version: Loaded) -> Response:
    """The answer to each input: a label with probabilities, text, or entities. Raises `ApiError`."""
    examples = asked.inputs if isinstance(asked.inputs, list) else [asked.inputs]
    return await _answer(house, _named(version, name), examples, asked, version)


async def _answer(
    house: House,
    task: Task,
    examples: Sequence[Mapping[str, str]],
    asked: ClassifyRequest | TaskRequest,
    version: Loaded,
) -> Response:
    began = time.monotonic()
    asking.check_answers(len(examples), house.settings)
    with asking.as_api_error("inputs"):
        read = await asyncio.to_thread(lambda: [_read(version, task, example) for example in examples])
    if task.labels:
        data = await version.compute(lambda: _labelled(version, task, read))
    elif isinstance(version.model, Labeller):
        labeller = version.model
        data = await version.compute(lambda: [_marked(labeller, task, one) for one in read])
    else:
        data = [await _written(house, version, version.model, one) for one in read]
    said = [_said(task, example, entry) for example, entry in zip(examples, data, strict=True)]
    entries = [{"index": place, **entry} for place, entry in enumerate(data)]
    used = shown.usage([one.ids for one in read], sum(entry.pop("tokens", 0) for entry in entries))
    head = shown.head(version, "list", "task", asked.model) | {"task": task.name}
    more = {"task": task.name, "labels": bool(task.labels)}
    house.ended(shown.served(version, head["id"], ROUTE, asked.user, said, used["prompt_tokens"], began, **more))
    return JSONResponse({**head, "data": entries, "usage": used})


def _said(task: Task, inputs: Mapping[str, str], entry: Mapping[str, Any]) -> Said:
    """An answer as it is kept: the inputs as the prompt that a user of chat would write."""
    turns = task.turns({field: inputs.get(field, "") for field in task.fields})
    text = entry["label"] if task.labels else entry["text"]
    return Said(turns, text, entry.get("tokens", 0), entry.get("finish_reason", "stop"))


def _named(version: Loaded, name: str) -> Task:
    tasks = {task.name: task for task in _known(version)}
    if name in tasks:
        return tasks[name]
    known = ", ".join(tasks) or "none"
    message = f"{version.version.name} was not trained on a task {name[:80]!a}: {known}"
    raise ApiError(404, message, code="task_not_found")


def _known(version: Loaded) -> list[Task]:
    """The tasks that have inputs by field."""
    return [task for task in version.trained.tasks if task.kind in ("text", "spans")]


def _to_classify(version: Loaded, name: str | None) -> Task:
    if name is not None:
        task = _named(version, name)
        if not task.labels:
            raise ApiError(400, f"the task {name} has no labels: ask /v1/tasks/{name}", param="task")
        return task
    tasks = [task for task in version.trained.tasks if task.labels]
    if len(tasks) != 1:
        known = ", ".join(task.name for task in tasks) or "none"
        raise ApiError(400, f"choose a task that has labels: {known}", param="task")
    return tasks[0]


def _main_field(task: Task) -> str:
    return task.long_field or task.fields[0]


def _read(version: Loaded, task: Task, inputs: Mapping[str, str]) -> Asked:
    """An example as the model reads it, cut as in training."""
    for field in inputs:
        if field not in task.fields:
            message = f"the task {task.name} has no input {field[:80]!a}: {', '.join(task.fields)}"
            raise ApiError(400, message, param="inputs")
    for field in task.needed:
        if not inputs.get(field):
            raise ApiError(400, f"the task {task.name} needs the input {field}", param="inputs")
    whole = {field: inputs.get(field, "") for field in task.fields}
    found = prompts.fitted(task, whole, version.model.tokenizer, version.trained.max_prompt_tokens)
    return Asked(found.inputs.get(task.long_field, ""), found.ids)


def _labelled(version: Loaded, task: Task, read: Sequence[Asked]) -> list[dict[str, Any]]:
    """The labels with their probabilities, which add up to 1."""
    model, ids = version.model, [one.ids for one in read]
    if isinstance(model, Labeller):
        shares = labelling.probabilities(model.model, ids, task.labels)
    else:
        choices = [prompts.answer(label, model.tokenizer) for label in task.labels]
        shares = log_likelihoods(model.model, ids, choices, start=model.tokenizer.end_of_text).softmax(-1)
    return [
        {"label": task.labels[int(row.argmax())], "probabilities": dict(zip(task.labels, row.tolist(), strict=True))}
        for row in shares
    ]


def _marked(model: Labeller, task: Task, one: Asked) -> dict[str, Any]:
    """What an encoder finds in an input: the entities, or the part that is the answer."""
    found = labelling.find if task.kind == "spans" else labelling.mark
    return {"text": model.written(one.text, one.ids, found(model.model, [one.ids])[0])}


async def _written(house: House, version: Loaded, model: AnswerWriter, one: Asked) -> dict[str, Any]:
    """What a model writes, by the settings of its package."""
    new_tokens = asking.max_new_tokens(None, model, house.settings)
    room = model.model.config.max_sequence_length - len(one.ids)
    if model.model.config.architecture == "decoder":
        new_tokens = min(new_tokens, room)
    defaults = generating.sampling_of_package(model)
    generation = Generation(tuple(one.ids), new_tokens, frozenset(model.end), defaults, model.defaults.seed)
    answers = Answers(version, [generation], [Reply(model.tokenizer, (), model.tokenizer.lead)])
    collected = await Collected(answers).all()
    return {"text": collected.texts[0].rstrip(), "finish_reason": collected.reasons[0], "tokens": collected.tokens}
