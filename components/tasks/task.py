"""The definition of a task."""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from components.core.errors import BadData
from components.tasks.metrics import METRICS
from components.tasks.template import Template
from components.tokenizer.message import Message

Kind = Literal["text", "conversation", "spans", "preference"]


@dataclass(frozen=True)
class Shot:
    """A solved example that is shown before each prompt of its task."""

    inputs: dict[str, str]
    target: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """Text in, text out, and a score for the text.

    - `kind`: `text` makes a prompt of the inputs; `spans` too, and its answers are lines `LABEL: surface`; a
      `conversation` has its turns as they are in `messages`; a `preference` is kept, and nothing is trained on it.
    - `template` makes the user message from the inputs (`components/tasks/template.py`). The window is small, so its
      own words are few, and `long_field` names the input that may be cut at its end.
    - With `labels` (in this order) the answer is one of them, without it is free text. `labels_from_data` says that
      they are still to be read from the train examples (`components/tasks/labels.py`).
    - The answers of an `extractive` task are a verbatim part of the long field, where a model that cannot generate may
      mark them.
    - `shots` are put before each prompt, as earlier turns.
    - `metric` and `baselines` are names in `METRICS`, and in `BASELINES` of `components/evaluation/baselines.py`.
    """

    name: str
    kind: Kind = "text"
    template: str = ""
    long_field: str = ""
    metric: str = ""
    labels: tuple[str, ...] = ()
    labels_from_data: bool = False
    extractive: bool = False
    shots: tuple[Shot, ...] = ()
    baselines: tuple[str, ...] = ()

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> "Task":
        """The task of a definition, as `definition` returns it and `training.json` keeps it."""
        shots = tuple(Shot(**shot) for shot in definition["shots"])
        tuples = {name: tuple(definition[name]) for name in ("labels", "baselines")}
        return cls(**{**definition, **tuples, "shots": shots})

    def definition(self) -> dict[str, Any]:
        """All of it in plain values, for JSON."""
        return asdict(self)

    def prompt(self, inputs: Mapping[str, str]) -> str:
        """The user message; the assistant's answer to it is the target. Raises `BadData` when an input is missing."""
        try:
            return self._template.render(inputs)
        except KeyError as error:
            has = ", ".join(inputs) or "none"
            raise BadData(
                f"task {self.name}: an example has no input `{error.args[0]}`, which the template needs (it has: {has})"
            ) from None

    def turns(self, inputs: Mapping[str, str]) -> list[Message]:
        """What is said before the answer: the shots and the user message, or the turns of a conversation."""
        if self.kind == "conversation":
            return [_turn(turn) for turn in json.loads(inputs["messages"])]
        return [*self.shown, Message(role="user", content=self.prompt(inputs))]

    @property
    def shown(self) -> list[Message]:
        """The shots as turns."""
        return [
            turn
            for shot in self.shots
            for turn in (
                Message(role="user", content=self.prompt(shot.inputs)),
                Message(role="assistant", content=shot.target),
            )
        ]

    def inputs(self, message: str) -> dict[str, str] | None:
        """The inputs from which `prompt` makes a message; None when it is not a prompt of this task.

        They are those that made it when every field but the long one was a part of a single line.
        """
        if self.kind not in ("text", "spans"):
            return None
        found = self._pattern.fullmatch(message)
        return found and {field: value or "" for field, value in found.groupdict().items()}

    @property
    def fields(self) -> list[str]:
        """The inputs that the template names, in the order of their appearance."""
        return self._template.fields

    @property
    def needed(self) -> list[str]:
        """The inputs that every example has to have, and not empty."""
        of_kind = {"conversation": ["messages"], "preference": ["rejected"]}
        return of_kind.get(self.kind) or self._template.needed

    @property
    def words(self) -> int:
        """The number of characters of the template's own words."""
        return self._template.words

    def score(self, prediction: str, target: str) -> float:
        """From 0 (wrong) to 1 (right)."""
        return METRICS[self.metric].score(prediction, target)

    def weight(self, prediction: str, target: str) -> float:
        """How much the score of an example counts: the score of a task is the weighted mean."""
        return METRICS[self.metric].weight(prediction, target)

    @functools.cached_property
    def _template(self) -> Template:
        return Template.parse(self.template)

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        return self._template.pattern(self.long_field)


def _turn(said: Message) -> Message:
    """A turn of a conversation: an answer has no white space around it, as none is generated."""
    if said["role"] != "assistant":
        return said
    return {**said, "content": said["content"].strip()}


def trained_tasks(folder: Path) -> dict[str, Task] | None:
    """The tasks that the model in a folder was trained on, by name; None when its `training.json` names none.

    Raises `BadData` when it names tasks without their definitions.
    """
    facts = folder / "training.json"
    found: Iterable[Any] | None = json.loads(facts.read_text()).get("tasks") if facts.exists() else None
    if found is None:
        return None
    if any(isinstance(definition, str) for definition in found):
        raise BadData(f"{facts} names its tasks and does not define them: it is of an older lmforge; train it anew")
    return {task.name: task for task in map(Task.of, found)}
