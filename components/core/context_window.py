"""Token budgets that share the model's context window, checked before anything is trained.

The settings of several stages share the window, but each stage reads only its own section. So the stages that train,
evaluate or package check the whole file when they begin, and so does every flow. A rule applies where all the settings
that it names are present; whether a section is valid by itself is checked elsewhere.
docs/decisions.md, "What shares the window is held against it by every stage that trains, evaluates or packages"
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core import params
from components.core.errors import BadSettings

WINDOW = "pretrain.sequence_length"


@dataclass(frozen=True)
class WindowRule:
    """Settings, in tokens, that share the window or a part of it."""

    names: tuple[str, ...]
    beside: int = 0  # tokens that are read in addition to those
    parts: int = 1  # of the window; the settings share one of them


def check(path: Path = params.PARAMS) -> None:
    """Raise `BadSettings` with everything that does not fit: the settings and the limit."""
    problems = [f"{path}: {line}" for line in misfits(params.load(path))]
    if problems:
        raise BadSettings("; ".join(problems))


def misfits(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each rule that the content of a settings file breaks."""
    window = _number(content, WINDOW)
    for rule in _rules(content):
        numbers = [_number(content, name) for name in rule.names]
        if window is None or None in numbers:
            continue
        needed, free = sum(filter(None, numbers)) + rule.beside, window // rule.parts
        if needed > free:
            yield (
                f"{' + '.join(map(_shown, rule.names, numbers))} needs {needed} tokens, and {free} are free with "
                f"{_shown(WINDOW, window)}: lower the first, or raise the last"
            )


def _rules(content: Mapping[str, Any]) -> Iterator[WindowRule]:
    pretrain = content.get("pretrain")
    model = pretrain.get("model") if isinstance(pretrain, Mapping) else None
    kind = model.get("architecture") if isinstance(model, Mapping) else None
    recipes = content.get("finetune")
    prompts = [f"finetune.{recipe}.max_prompt_tokens" for recipe in recipes] if isinstance(recipes, Mapping) else []
    answers = [name.replace("prompt", "answer") for name in prompts]
    written = ("evaluate.max_new_tokens", "package.max_new_tokens")
    if kind == "decoder":  # prompt and answer share its window
        yield from (WindowRule(pair) for pair in zip(prompts, answers, strict=True))
        yield from (WindowRule((prompt, answer)) for prompt in prompts for answer in written)
        yield WindowRule(("evaluate.verbatim_prompt", "evaluate.verbatim_tokens"), beside=1)
    else:
        yield from (WindowRule((prompt,)) for prompt in prompts)
    if kind == "encoder_decoder":
        yield from (
            WindowRule((answer,), parts=2) for answer in answers
        )  # rows of answers are half as long as the window
        yield from (WindowRule((answer,)) for answer in written)
        yield WindowRule(("evaluate.verbatim_prompt",), beside=2)
        yield WindowRule(("evaluate.verbatim_tokens",), beside=1)


def _number(content: Mapping[str, Any], name: str) -> int | None:
    value: Any = content
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, int) else None


def _shown(name: str, value: int | None) -> str:
    return f"{name} ({value})"
