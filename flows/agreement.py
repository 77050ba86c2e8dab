"""Checks that sources, mixtures and baselines fit the tasks that they name or serve, before anything starts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.core.errors import BadSettings
from components.core.params import suggest
from components.data.settings import Ingest, Validate
from components.data.sources import catalog as sources_catalog
from components.data.sources.columns import Columns, ExampleColumns, TaskColumns
from components.tasks import catalog as tasks_catalog
from components.tasks.task import Task


def check(settings: Ingest) -> None:
    """Raise `BadSettings` with each section of a source that does not fit the task that is taken from it."""
    tasks = tasks_catalog.load()
    problems = [
        f"{source.where}: {name}{problem}"
        for source in sources_catalog.load(Path(settings.sources))
        if isinstance(source, Columns)
        for name, section in source.of_tasks.items()
        if section.task in settings.take and section.task in source.yields
        for problem in misfits(section, tasks)
    ]
    if problems:
        raise BadSettings("; ".join(problems))


def check_rules(settings: Validate) -> None:
    """Raise `BadSettings` with everything that is wrong in the rules of the user."""
    from components.data.validation import own_rules  # with what masks excerpts, half a second

    if settings.rules:
        own_rules.check(settings.rules)


def check_mixtures(content: Mapping[str, Any], where: str) -> None:
    """Raise `BadSettings` for tasks of mixtures in settings that nothing can be trained on, or whose rows are left out.

    And for an unknown baseline of any task.
    """
    tasks = tasks_catalog.load()
    if problems := [*_unfit(content, tasks, where), *_unknown_baselines(tasks)]:
        raise BadSettings("; ".join(problems))


def check_yields(content: Mapping[str, Any], where: str) -> None:
    """Raise `BadSettings` for tasks of mixtures in settings that no source of their catalogue has rows of."""
    catalogue = content["ingest"]["sources"]
    yielded = {kind for source in sources_catalog.load(Path(catalogue)) for kind in source.yields}
    missing = {key: [name for name in mixture if name not in yielded] for key, mixture in _mixtures(content).items()}
    problems = [
        f"{where}: {key}: no source of {catalogue} yields {', '.join(names)}: add one, or take out what has no rows"
        for key, names in missing.items()
        if names
    ]
    if problems:
        raise BadSettings("; ".join(problems))


def _mixtures(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The shares of tasks that the settings have, by the key that they stand under."""
    recipes = {f"finetune.{name}.tasks": recipe["tasks"] for name, recipe in content.get("finetune", {}).items()}
    return recipes | {"pretrain.tasks": content.get("pretrain", {}).get("tasks") or {}}


def _unfit(content: Mapping[str, Any], tasks: Mapping[str, Task], where: str) -> Iterator[str]:
    for key, mixture in _mixtures(content).items():
        try:
            tasks_catalog.pick(tasks, mixture, f"{where}: {key}")
        except BadSettings as error:
            yield str(error)
        for name in mixture:
            if name not in content["ingest"]["take"]:
                yield f"{where}: {key}.{name} would have no rows: add {name} to ingest.take, or take it out of {key}"


def _unknown_baselines(tasks: Mapping[str, Task]) -> Iterator[str]:
    from components.evaluation.baselines import baselines  # with the tokenizer, a second

    for task in tasks.values():
        try:
            baselines(task)
        except BadSettings as error:
            yield str(error)


def misfits(section: TaskColumns, tasks: Mapping[str, Task]) -> Iterator[str]:
    """What is wrong with a section, as the end of a line that begins with its name."""
    task = tasks.get(section.task)
    if task is None:
        yield f".task {section.task} is not in {tasks_catalog.PATH}: {suggest(section.task, list(tasks))}"
    elif task.kind != section.kind:
        yield f" makes examples for tasks of the kind {section.kind}, and {task.name} is of the kind {task.kind}"
    elif isinstance(section, ExampleColumns):
        for name in task.needed:
            if name not in section.inputs:
                yield f".inputs has no `{name}`, which the template of {task.name} needs"
            if name in section.optional:
                yield f".optional names `{name}`, which the template of {task.name} needs: put it in brackets there"
