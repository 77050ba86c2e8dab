"""The list of tasks, `data/tasks.yaml`, as typed objects: the only place that defines a task."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import MinLen

from components.core import params
from components.core.errors import BadData, BadSettings
from components.tasks.metrics import METRICS
from components.tasks.task import Kind, Shot, Task
from components.tasks.template import Template

PATH = Path("data/tasks.yaml")
FROM_DATA = "from data"
FIELDS = {  # the keys that a task of a kind has to have, and those that it may have
    "text": (
        {"template", "long_field", "metric"},
        {"answer_cue", "labels", "extractive", "examples", "baselines"},
    ),
    "spans": ({"template", "long_field", "metric"}, {"answer_cue", "examples", "baselines"}),
    "conversation": ({"metric"}, {"baselines"}),
    "preference": (set[str](), set[str]()),
}


@dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """One entry of the file; its labels are read by `_labels`. What is absent does not apply to the task."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: Annotated[str, MinLen(1)]
    kind: Kind
    template: Annotated[str, MinLen(1)] | None = None
    answer_cue: Annotated[str, MinLen(1)] | None = None  # the last line of a prompt, which says what is asked
    long_field: str | None = None
    labels: tuple[str, ...] | Literal["from data"] | None = None
    extractive: Literal[True] | None = None
    examples: tuple[Shot, ...] | None = None
    metric: str | None = None
    baselines: tuple[str, ...] | None = None


def load(path: Path = PATH) -> dict[str, Task]:
    """The tasks by name, in the order of the file. Raises `BadSettings` with file, task and key."""
    entries = params.load(path).get("tasks")
    if not isinstance(entries, list) or not entries:
        raise BadSettings(f"{path} needs a list `tasks`")
    tasks = [parse(entry, path) for entry in entries]
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise BadSettings(f"{path}: two tasks have the name `{name}`")
    return {task.name: task for task in tasks}


def pick(tasks: Mapping[str, Task], names: Iterable[str], where: str) -> dict[str, Task]:
    """The tasks of a mixture, `where` in the settings. Raises `BadSettings` for one that nothing can be trained on."""
    for name in names:
        if name not in tasks:
            raise BadSettings(f"{where}.{name} is not in {PATH}: {params.suggest(name, list(tasks))}")
        if tasks[name].kind == "preference":
            raise BadSettings(f"{where}.{name} is of the kind preference, which nothing trains on yet: take it out")
    return {name: tasks[name] for name in names}


def parse(raw: object, path: Path) -> Task:
    """The task of an entry. Raises `BadSettings` as `load` does, with the path."""
    if not isinstance(raw, dict) or "name" not in raw:
        raise BadSettings(f"{path}: a task has no name")
    where = f"{path}: {raw['name']}"
    entry = params.parse({**raw, "labels": _labels(raw.get("labels"), where)}, TaskEntry, where)
    task = Task(
        name=entry.name,
        kind=entry.kind,
        template="\n".join(filter(None, (entry.template, entry.answer_cue))),
        long_field=entry.long_field or "",
        metric=entry.metric or "",
        labels=entry.labels if isinstance(entry.labels, tuple) else (),
        labels_from_data=entry.labels == FROM_DATA,
        extractive=bool(entry.extractive),
        shots=entry.examples or (),
        baselines=entry.baselines or (),
    )
    for problem in (*_keys(entry), *_template(task), *_answers(task)):
        raise BadSettings(f"{where}{problem}")
    return task


def _labels(raw: object, where: str) -> object:
    """The labels as text, as they stand in the examples: numbers and `true` and `false` may be labels too."""
    if raw is None or raw == FROM_DATA:
        return raw
    if not isinstance(raw, list) or not raw or not all(isinstance(label, str | int | float) for label in raw):
        raise BadSettings(f"{where}.labels is {raw!r}: list them, or write `{FROM_DATA}`")
    return [str(label).lower() if isinstance(label, bool) else str(label) for label in raw]


def _keys(entry: TaskEntry) -> Iterator[str]:
    needed, possible = FIELDS[entry.kind]
    for key, value in vars(entry).items():
        if key in needed and value is None:
            yield f".{key} is missing: a task of the kind {entry.kind} needs it"
        if key not in {"name", "kind"} | needed | possible and value is not None:
            yield f".{key} does not apply to a task of the kind {entry.kind}: take it out"


def _template(task: Task) -> Iterator[str]:
    if task.kind not in ("text", "spans"):
        return
    try:
        fields = Template.parse(task.template).fields
    except ValueError as error:
        yield f".template {error}"
        return
    if not fields:
        yield ".template has no input: write its name in braces, such as {text}"
    for field in fields:
        if fields.count(field) > 1:
            yield f".template has the input {{{field}}} twice"
    if task.long_field not in fields:
        yield f".long_field is {task.long_field!r}, which the template lacks; {params.suggest(task.long_field, fields)}"
    for number, shot in enumerate(task.shots):
        if unknown := set(shot.inputs) - set(fields):
            field = min(unknown)
            yield f".examples.{number}.inputs.{field} is not in the template; {params.suggest(field, fields)}"
        try:
            task.prompt(shot.inputs)
        except BadData as error:
            yield f".examples.{number}: {error}"


def _answers(task: Task) -> Iterator[str]:
    if task.kind == "preference":
        return
    if task.metric not in METRICS:
        yield f".metric is {task.metric!r}: {params.suggest(task.metric, list(METRICS))}"
        return
    labelled = bool(task.labels) or task.labels_from_data
    if labelled != METRICS[task.metric].of_labels:
        free = [name for name, metric in METRICS.items() if not metric.of_labels]
        wanted = "accuracy, as the answers are labels" if labelled else f"for labels alone: one of {', '.join(free)}"
        yield f".metric is {task.metric}, but has to be {wanted}" if labelled else f".metric is {task.metric}, {wanted}"
    if (task.kind == "spans") != (task.metric == "entity_f1"):
        yield f".metric is {task.metric}: entity_f1 scores the tasks of the kind spans, and nothing else does"
    if len(set(task.labels)) < len(task.labels):
        yield f".labels has {next(label for label in task.labels if task.labels.count(label) > 1)!r} twice"
    if len(task.labels) == 1:
        yield ".labels has only one: a classification needs two"
    if labelled and task.extractive:
        yield ".extractive is for answers in the words of the text, and this task has labels: take out one of them"
    for number, shot in enumerate(task.shots):
        if task.labels and shot.target not in task.labels:
            yield f".examples.{number}.target is {shot.target!r}: {params.suggest(shot.target, list(task.labels))}"
