"""Token budgets that share the model's context window, checked before anything is trained.

The settings of several stages share the window, but each stage reads only its own section. So the stages that train,
evaluate or package check the whole file when they begin, and so does every flow. A rule applies where all the settings
that it names are present; whether a section is valid by itself is checked elsewhere.
docs/decisions.md, "What shares the window is held against it by every stage that trains, evaluates or packages"
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core import params
from components.core.errors import BadSettings
from components.core.recipe import PRETRAINED

WINDOW = "pretrain.sequence_length"


@dataclass(frozen=True)
class WindowRule:
    """Settings, in tokens, that share the window or a part of it."""

    names: tuple[str, ...]
    beside: int = 0  # tokens that are read in addition to those
    parts: int = 1  # of the window; the settings share one of them


@dataclass(frozen=True)
class Limit:
    """The window, by the setting that it follows from."""

    name: str
    tokens: int


def check(path: Path = params.PARAMS) -> None:
    """Raise `BadSettings` with everything that does not fit: the settings and the limit."""
    _refuse(misfits(params.load(path)), path)


def check_recipe(recipe: str, architecture: str, window: int, path: Path = params.PARAMS) -> None:
    """The same for a recipe on a checkpoint, whose architecture and window are known once it is loaded."""
    limit = Limit(f"the window of finetune.{recipe}", window)
    rules = [*_of_recipe(recipe, architecture), *_of_documents(architecture)]
    _refuse(_broken(params.load(path), rules, limit), path)


def misfits(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each rule that the content of a settings file breaks.

    A recipe on a checkpoint is left out: its window is that of the checkpoint.
    """
    pretrain, recipes = content.get("pretrain"), content.get("finetune")
    model = pretrain.get("model") if isinstance(pretrain, Mapping) else None
    kind = model.get("architecture") if isinstance(model, Mapping) else None
    window = _number(content, WINDOW)
    if window is None:
        return
    yield from _broken(content, _of_documents(kind), Limit(WINDOW, window))
    for name, recipe in recipes.items() if isinstance(recipes, Mapping) else ():
        if isinstance(recipe, Mapping) and recipe.get("base") == str(PRETRAINED):
            own = f"finetune.{name}.sequence_length"
            length = _number(content, own)
            limit = Limit(own, length) if length is not None else Limit(WINDOW, window)
            yield from _broken(content, _of_recipe(name, kind), limit)


def _refuse(lines: Iterable[str], path: Path) -> None:
    problems = [f"{path}: {line}" for line in lines]
    if problems:
        raise BadSettings("; ".join(problems))


def _broken(content: Mapping[str, Any], rules: Iterable[WindowRule], limit: Limit) -> Iterator[str]:
    for rule in rules:
        numbers = [_number(content, name) for name in rule.names]
        if None in numbers:
            continue
        needed, free = sum(filter(None, numbers)) + rule.beside, limit.tokens // rule.parts
        if needed > free:
            yield (
                f"{' + '.join(map(_shown, rule.names, numbers))} needs {needed} tokens, and {free} are free with "
                f"{_shown(limit.name, limit.tokens)}: lower the first, or raise the last"
            )


def _of_recipe(recipe: str, architecture: str | None) -> Iterator[WindowRule]:
    prompt, answer = f"finetune.{recipe}.max_prompt_tokens", f"finetune.{recipe}.max_answer_tokens"
    written = ("evaluate.max_new_tokens", "package.max_new_tokens")
    if architecture == "decoder":  # prompt and answer share its window
        yield WindowRule((prompt, answer))
        yield from (WindowRule((prompt, name)) for name in written)
    else:
        yield WindowRule((prompt,))
    if architecture == "encoder_decoder":
        yield WindowRule((answer,), parts=2)  # rows of answers are half as long as the window
        yield from (WindowRule((name,)) for name in written)


def _of_documents(architecture: str | None) -> Iterator[WindowRule]:
    if architecture == "decoder":
        yield WindowRule(("evaluate.verbatim_prompt", "evaluate.verbatim_tokens"), beside=1)
    if architecture == "encoder_decoder":
        yield WindowRule(("evaluate.verbatim_prompt",), beside=2)
        yield WindowRule(("evaluate.verbatim_tokens",), beside=1)


def _number(content: Mapping[str, Any], name: str) -> int | None:
    value: Any = content
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) else None


def _shown(name: str, value: int | None) -> str:
    return f"{name} ({value})"
