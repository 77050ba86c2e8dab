"""Variants of a recipe with one thing changed: their training, and how much better or worse they are."""

import copy
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scipy import stats

from components.model.transformer import Transformer
from components.training.data.batches import Rows
from components.training.engine import loop
from components.training.settings import Optimization
from components.training.validation import Validation


def changed(section: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A section of `params.yaml` with some values changed, by dotted names."""
    content: dict[str, Any] = copy.deepcopy(dict(section))
    for key, value in changes.items():
        *path, last = key.split(".")
        inner = content
        for part in path:
            inner = inner[part]
        inner[last] = value
    return content


def train(stage: str, model: Transformer, rows: Rows, validate: Validation, settings: Optimization) -> float:
    """Train a model in place, keeping nothing on disk; returns the bits per byte of the last validation."""
    with tempfile.TemporaryDirectory() as folder:
        history = loop.train(
            loop.Job(
                stage=stage,
                model=model,
                rows=rows,
                validate=validate,
                settings=settings,
                parallel="ddp",
                checkpoints=Path(folder),
                made_from={},
            )
        )
    return history.validation[-1]["bits_per_byte"]


def row(name: str, scores: Sequence[float], recipe: Sequence[float]) -> str:
    """One line of a table: the mean of the differences by seed with its 95% interval (Student's t)."""
    differences = [ours - theirs for ours, theirs in zip(scores, recipe, strict=True)]
    mean = statistics.mean(differences)
    if len(differences) == 1:
        return f"{name:26} {mean:+.4f}"
    half = stats.t.ppf(0.975, len(differences) - 1) * statistics.stdev(differences) / len(differences) ** 0.5
    return f"{name:26} {mean:+.4f}  [{mean - half:+.4f}, {mean + half:+.4f}]"
