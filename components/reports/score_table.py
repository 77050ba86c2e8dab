"""The scores of a model as rows of text, for a terminal or a page."""

import json
from collections.abc import Mapping
from typing import Any

from components.core.recipe import evaluation
from components.evaluation.scores import SAME_INPUT


def read_scores(recipe: str) -> dict[str, Any]:
    """The scores that the evaluation of a recipe's model wrote."""
    scores: dict[str, Any] = json.loads((evaluation(recipe) / "scores.json").read_text())
    return scores


def rows(scores: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """The name, value, interval and baselines of each metric, ready to print."""
    table = []
    if "bits_per_byte" in scores:  # a model that only labels has none
        for part, name in (("all", "bits per byte, sources equal"), ("by_size", "bits per byte, sources by size")):
            bits = scores["bits_per_byte"][part]
            table.append((name, f"{bits['value']:.3f}", f"{bits['low']:.3f} to {bits['high']:.3f}", ""))
    for name, task in sorted(scores["tasks"].items()):
        interval = f"{task['low']:.3f} to {task['high']:.3f}"
        baselines = _baselines(task["baselines"])
        table.append((f"{name} ({task['metric']})", f"{task['value']:.3f}", interval, baselines))
    return table


def _baselines(scores: Mapping[str, Any]) -> str:
    """The baselines in one line, each with its score from the same input as the model's in brackets."""
    parts = []
    for name in sorted(name for name in scores if not name.endswith(SAME_INPUT)):
        same = scores.get(f"{name}{SAME_INPUT}")
        more = f" (same input {same['value']:.3f})" if same else ""
        parts.append(f"{name.replace('_', ' ')} {scores[name]['value']:.3f}{more}")
    return ", ".join(parts)
