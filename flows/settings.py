"""Checks all sections of `params.yaml` against the dataclasses that the stages read, before anything starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.api.settings import Serve
from components.core import context_window, params
from components.core.errors import BadSettings
from components.data.settings import Executor, Ingest, Prepare, Validate
from components.evaluation.settings import Evaluate
from components.registry.settings import GateByRecipe, Package
from components.tokenizer_training.settings import Encode, TrainTokenizer
from components.training.settings import Finetune, Pretrain, Processes
from flows import agreement, roads
from flows.retraining.settings import Retraining, SourceRule

# docs/decisions.md, "Settings live beside the code that uses them"
NEEDED: dict[str, Any] = {
    "ingest": Ingest,
    "validate": Validate,
    "prepare": Prepare,
    "executor": Executor,
    "processes": Processes,
    "evaluate": Evaluate,
    "package": Package,
    "gate": GateByRecipe,
    "retraining": Retraining,
}
# What a model is made by and served with: whatever params.yaml asks for.
OPTIONAL: dict[str, Any] = {
    "serve": Serve,
    "source_rules": tuple[SourceRule, ...],
    "tokenizer": TrainTokenizer,
    "encode": Encode,
    "pretrain": Pretrain,
    "finetune": dict[str, Finetune],
}
SECTIONS = NEEDED | OPTIONAL


def check(path: Path = params.PARAMS) -> None:
    """Raise `BadSettings` with everything that is wrong in the file, or with its sources that do not fit their tasks.

    Each line has key, value and limit, or the nearest name.
    """
    content = params.load(path)
    check_content(content, str(path))
    agreement.check(params.parse(content["ingest"], Ingest, f"{path}: ingest"))
    agreement.check_rules(params.parse(content["validate"], Validate, f"{path}: validate"))


def check_run(path: Path = params.PARAMS) -> None:
    """The same, and with tasks that no source has rows of: what has to be right before a run, not before each edit."""
    check(path)
    agreement.check_yields(params.load(path), str(path))


def check_content(content: Mapping[str, Any], where: str) -> None:
    """The same for the content of such a file."""
    problems = [
        f"{where}: `{name}` is not a known section; {params.suggest(name, list(SECTIONS))}"
        for name in content
        if name not in SECTIONS
    ]
    problems += [f"{where}: the section `{name}` is missing" for name in NEEDED if name not in content]
    for name, kind in SECTIONS.items():
        if name not in content:
            continue
        try:
            params.parse(content[name], kind, f"{where}: {name}")
        except BadSettings as error:
            problems.append(str(error))
    problems += [f"{where}: {line}" for line in (*roads.misfits(content), *context_window.misfits(content))]
    if problems:
        raise BadSettings("; ".join(problems))
    agreement.check_mixtures(content, where)
