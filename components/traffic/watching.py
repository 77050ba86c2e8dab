"""What users ask the champion, and what it answers, against the test set that it was evaluated on."""

import functools
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.core.errors import BadData
from components.registry import store
from components.registry.store import CHAMPION, Version
from components.tasks.prompts import TrainedTasks
from components.tokenizer.tokenizer import Tokenizer
from components.traffic import drift, files
from components.traffic.drift import LEAST, Drift
from components.traffic.files import ANSWERS, FEEDBACK

PREDICTIONS = "predictions.parquet"  # among the lineage files of a version


@dataclass(frozen=True)
class WatchedModel:
    """What production tells about a champion."""

    model: str
    version: int
    requests: int  # that were compared
    answers: int  # of this version that were compared; 0: too few
    thumbs: dict[str, int]  # up and down, of its answers
    corrected: int
    threshold: float
    dimensions: tuple[Drift, ...]

    @property
    def most(self) -> Drift | None:
        """Of the dimensions that have drifted that with the largest index."""
        return max((one for one in self.dimensions if one.drifted), key=lambda one: one.index, default=None)


def watch(model: str, threshold: float, last: int, folder: Path = files.FOLDER) -> WatchedModel:
    """Compare the last requests to a model, and the answers of its champion, with the champion's test set.

    Raises `BadData` where one of the two has too few rows.
    """
    version = store.find(model, CHAMPION)
    rows = [row for row in files.read(folder, ANSWERS).to_pylist() if row["model"] == model]
    asked = [row for row in rows if row["choice"] == 0][-last:]
    said = [row for row in rows if row["version"] == version.number][-last:]
    if len(asked) < LEAST:
        raise BadData(f"{len(asked)} requests to {model} are kept in {folder}, and {LEAST} are needed")
    prompts, predictions = _test_set(version)
    package = store.fetch(model, str(version.number))
    known = _vocabulary(Tokenizer.load(package))
    found = drift.inputs(prompts, [_text(row["prompt"]) for row in asked], known, threshold)
    if len(said) >= LEAST:
        labels = {label for task in TrainedTasks.load(package).tasks for label in task.labels}
        found += drift.outputs(predictions, [row["answer"] for row in said], labels, threshold)
    ids = {row["id"] for row in rows if row["version"] == version.number}
    judged = [row for row in files.read(folder, FEEDBACK).to_pylist() if row["id"] in ids]
    thumbs = Counter(row["thumb"] for row in judged if row["thumb"])
    return WatchedModel(
        model,
        version.number,
        len(asked),
        len(said) if len(said) >= LEAST else 0,
        {thumb: thumbs[thumb] for thumb in ("up", "down")},
        sum(row["corrected"] is not None for row in judged),
        threshold,
        tuple(found),
    )


def _test_set(version: Version) -> tuple[list[str], list[str]]:
    """The prompts that the version was evaluated on, and its predictions. Raises `BadData` when there are too few."""
    path = store.kept(version) / PREDICTIONS
    rows = pq.read_table(path).to_pylist() if path.exists() else []
    if len(rows) < LEAST:
        raise BadData(
            f"{version.name} version {version.number} was evaluated on {len(rows)} examples, and {LEAST} are needed to "
            "compare with: see evaluate.max_examples in params.yaml"
        )
    return [row["prompt"] for row in rows], [row["prediction"] for row in rows]


def _text(prompt: str) -> str:
    """The turns of a prompt as one text, as the predictions have theirs."""
    turns: Sequence[dict[str, Any]] = json.loads(prompt)
    said = (
        turn["content"] if turn["role"] in ("user", "text") else f"{turn['role']}: {turn['content']}" for turn in turns
    )
    return "\n".join(said)


def _vocabulary(tokenizer: Tokenizer) -> Callable[[str], bool]:
    """Whether a word is one token, as it stands or behind a space."""

    @functools.cache
    def known(word: str) -> bool:
        return any(len(tokenizer.encode(text)) == 1 for text in (word, f" {word}"))

    return known
