"""A recipe with one thing changed, and how much better or worse that is."""

import copy
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from scipy import stats


def changed(section: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A section of `params.yaml` with other values at dotted names."""
    content: dict[str, Any] = copy.deepcopy(dict(section))
    for key, value in changes.items():
        *path, last = key.split(".")
        inner = content
        for part in path:
            inner = inner[part]
        inner[last] = value
    return content


def row(name: str, scores: Sequence[float], recipe: Sequence[float]) -> str:
    """One line of a table: the mean of the differences by seed with its 95% interval (Student's t)."""
    differences = [ours - theirs for ours, theirs in zip(scores, recipe, strict=True)]
    mean = statistics.mean(differences)
    if len(differences) == 1:
        return f"{name:26} {mean:+.4f}"
    half = stats.t.ppf(0.975, len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    return f"{name:26} {mean:+.4f}  [{mean - half:+.4f}, {mean + half:+.4f}]"
