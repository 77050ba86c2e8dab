"""One evaluation: a model's bits per byte and task scores on the test split, next to the baselines."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import BadData
from components.core.files import write_json
from components.core.progress import Progress
from components.evaluation import baselines, bits_per_byte, likelihood, predictions, safety, samples, scores, selection
from components.evaluation.baselines import Reader
from components.evaluation.likelihood import Layout
from components.evaluation.predictions import Predictor
from components.evaluation.selection import TaskExample
from components.evaluation.settings import Evaluate
from components.model import arithmetic, hf
from components.model.interface import LanguageModel
from components.model.labelling import ANSWER, ENTITIES
from components.tasks import Task, catalog, labels, prompts
from components.tasks.task import trained_tasks
from components.tokenizer.tokenizer import Tokenizer

PREPARED = Path("data/prepared")


class NothingToScore(BadData):
    """The test split has nothing that the model reads or was taught."""


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation, in memory."""

    scores: dict[str, Any]
    losses: pa.Table  # document, source, language, bytes, tokens, nats; empty for a model that does not read documents
    predictions: pa.Table  # example, task, prompt, target, prediction, score
    samples: list[dict[str, Any]]  # of documents the pieces, of examples task, prompt, completion and target

    def write(self, folder: Path) -> None:
        """Write the four files to the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "scores.json", self.scores)
        write_json(folder / "samples.json", self.samples)
        pq.write_table(self.losses, folder / "losses.parquet", compression="zstd")
        pq.write_table(self.predictions, folder / "predictions.parquet", compression="zstd")


def evaluate(
    folder: Path,
    settings: Evaluate,
    name: str = "model",
    prepared: Path = PREPARED,
    train_ids: Collection[str] = frozenset(),
    definitions: Path = catalog.PATH,
) -> Evaluation:
    """Score the model in a folder on the test split of the prepared tables; `name` is its name in the scores.

    The tasks are those that the model was trained on, or for a model before fine-tuning those of `definitions`.
    `train_ids` are the ids of the train examples that the model was trained on, if known. The baselines then also
    learn from these alone, with all texts cut as the model reads them. Raises `NothingToScore`.
    """
    model, tokenizer = hf.load(folder), Tokenizer.load(folder)
    documents = selection.documents(prepared / "documents/test", settings.max_bytes_per_source)
    layout = likelihood.layout(model, tokenizer) if len(documents) else None
    asked = tasks(folder, model, prepared, definitions)
    examples = _examples(prepared, asked, settings)
    if layout is None and not examples:
        raise NothingToScore(f"{prepared} has nothing in its test split that {name} could be scored by")
    prompt_tokens = _prompt_tokens(folder, model, asked, tokenizer, settings)
    predictor = Predictor(model, tokenizer, prompt_tokens, settings.max_new_tokens, settings.repetition_penalty)
    # docs/decisions.md, "Evaluation in bf16"
    with arithmetic.autocast(arithmetic.CPU):
        losses = _losses(model, layout, tokenizer, documents, settings, name)
        answers = _answers(predictor, asked, examples, name)
        first = [row["text"] for row in _first_of_each(documents, "source", settings.samples)]
        texts = samples.of_documents(model, layout, tokenizer, first, settings.seed)
        completed = safety.completions(model, layout, tokenizer, prepared / "documents/train", settings)
    reader = Reader(tokenizer, prompt_tokens, frozenset(train_ids))
    found = _about(name, model) | {"tasks": _task_scores(asked, answers, examples, reader, settings)}
    if layout is not None:
        found["bits_per_byte"] = scores.bits_per_byte(losses, documents["weight"], settings)
    if model.config.architecture != "encoder":
        written = [*_written(texts, asked, answers), *(tokenizer.decode(said) for said, _ in completed)]
        found["safety"] = scores.safety(safety.verbatim(completed), safety.personal(written), settings)
    table = pa.concat_tables([predictions.SCHEMA.empty_table(), *answers.values()])
    return Evaluation(found, losses, table, _samples(texts, table, settings))


def _losses(
    model: LanguageModel,
    layout: Layout | None,
    tokenizer: Tokenizer,
    documents: pa.Table,
    settings: Evaluate,
    name: str,
) -> pa.Table:
    """The losses of the documents; none of a model that does not read documents."""
    if layout is None:
        return bits_per_byte.SCHEMA.empty_table()
    batch, stage = settings.tokens_per_batch, _stage(name)
    return bits_per_byte.losses(model, layout, tokenizer, documents, tokens_per_batch=batch, stage=stage)


def _stage(name: str) -> str:
    """Under what the progress of the evaluation of a model is shown."""
    return f"evaluate@{name}"


def _about(name: str, model: LanguageModel) -> dict[str, Any]:
    weights = sum(weight.numel() for weight in model.parameters())
    return {"model": name, "architecture": model.config.architecture, "parameters": weights}


def _prompt_tokens(
    folder: Path, model: LanguageModel, asked: Mapping[str, Task], tokenizer: Tokenizer, settings: Evaluate
) -> int:
    """The budget of prompts that the model was trained with, or else all of the window that an answer leaves."""
    longest = max(settings.max_new_tokens, prompts.longest_label(asked.values(), tokenizer))
    return prompts.budget(folder) or model.config.max_prompt_tokens(longest)


def tasks(folder: Path, model: LanguageModel, prepared: Path, definitions: Path) -> dict[str, Task]:
    """The tasks to evaluate: those that the model was fine-tuned on; before fine-tuning all, if it can generate.

    Of a model without `training.json` these are unknown; it is evaluated on all tasks that it can answer. The labels
    that a task takes from data are those of the train examples, and a task without examples is not asked.
    """
    if model.config.architecture == "encoder" and not model.config.labels:
        return {}
    if (found := trained_tasks(folder)) is not None:
        return found
    rows = pq.read_table(prepared / "examples/train", columns=["task"], partitioning=None)["task"].unique().to_pylist()
    known = {name: task for name, task in catalog.load(definitions).items() if name in rows}
    return {
        name: task
        for name, task in labels.resolve(known, prepared / "examples/train").items()
        if task.kind != "preference" and (not model.config.labels or _labels(model, task))
    }


def _labels(model: LanguageModel, task: Task) -> bool:
    """Whether the model has the labels that a task needs."""
    needed = set(task.labels) or {ENTITIES if task.kind == "spans" else ANSWER}
    return bool(task.labels or task.extractive or task.kind == "spans") and needed <= set(model.config.labels)


def _examples(
    prepared: Path, asked: Mapping[str, Task], settings: Evaluate
) -> dict[str, tuple[list[TaskExample], list[TaskExample]]]:
    """For each evaluated task with rows in the tables: its train examples, and those of the test split to score."""
    found = {
        task: (
            selection.examples(prepared / "examples/train", task),
            selection.examples(prepared / "examples/test", task, settings.max_examples),
        )
        for task in asked
    }
    return {task: (train, test) for task, (train, test) in found.items() if train and test}


def _answers(
    speaker: Predictor,
    asked: Mapping[str, Task],
    examples: dict[str, tuple[list[TaskExample], list[TaskExample]]],
    name: str,
) -> dict[str, pa.Table]:
    """A table of predictions per task."""
    total = sum(len(test) for _, test in examples.values())
    with Progress(_stage(name), total, "examples") as progress:
        return {
            task: predictions.table(asked[task], test, speaker.predict(asked[task], test, progress))
            for task, (_, test) in examples.items()
        }


def _task_scores(
    asked: Mapping[str, Task],
    answers: Mapping[str, pa.Table],
    examples: Mapping[str, tuple[list[TaskExample], list[TaskExample]]],
    reader: Reader,
    settings: Evaluate,
) -> dict[str, object]:
    return {task: _score(asked[task], said, *examples[task], reader, settings) for task, said in answers.items()}


def _score(
    task: Task, answers: pa.Table, train: list[TaskExample], test: list[TaskExample], reader: Reader, settings: Evaluate
) -> dict[str, object]:
    rivals = baselines.answers(task, train, test, reader)
    tables = {name: predictions.table(task, test, said) for name, said in rivals.items()}
    unread = sum(not reader.reads(task, example) for example in test)
    return scores.task_score(task, answers, tables, settings) | ({"unread": unread} if unread else {})


def _written(texts: list[samples.Sample], asked: Mapping[str, Task], answers: dict[str, pa.Table]) -> Iterator[str]:
    """Everything that the model generated as free text."""
    yield from (piece["said"] for pieces in texts for piece in pieces if "said" in piece)
    for task, table in answers.items():
        if not asked[task].labels:
            yield from table["prediction"].to_pylist()


def _samples(texts: list[samples.Sample], answers: pa.Table, settings: Evaluate) -> list[dict[str, Any]]:
    """The samples of documents, and the first answers to each task."""
    return [
        *({"task": "text", "pieces": pieces} for pieces in texts),
        *(
            {
                "task": row["task"],
                "prompt": row["prompt"],
                "completion": row["prediction"],
                "target": row["target"],
            }
            for row in _first_of_each(answers, "task", settings.samples)
        ),
    ]


def _first_of_each(table: pa.Table, column: str, count: int) -> list[dict[str, str]]:
    seen: dict[str, int] = {}
    rows = []
    for place, value in enumerate(table[column].to_pylist()):
        seen[value] = seen.get(value, 0) + 1
        if seen[value] <= count:
            rows.append(place)
    kept: list[dict[str, str]] = table.take(pa.array(rows, pa.int64())).to_pylist()
    return kept
