"""Stage `evaluate`: a model's bits per byte and task scores on the test split, beside the baselines."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from components import params, stage
from components.evaluation import predictions, scores, selection
from components.evaluation.baselines import baselines
from components.evaluation.bits_per_byte import losses
from components.evaluation.predictions import Speaker
from components.evaluation.selection import Example
from components.evaluation.settings import Evaluate
from components.model import hf
from components.progress import Progress
from components.tasks import TASKS, Task
from components.tokenizer.tokenizer import Tokenizer

PREPARED = Path("data/prepared")
REPORTS = Path("reports/evaluation")


@dataclass(frozen=True)
class Evaluation:
    """The outs of the stage, in memory."""

    scores: dict[str, Any]
    losses: pa.Table  # document, source, language, bytes, tokens, nats
    predictions: pa.Table  # example, task, prompt, target, prediction, score
    samples: list[dict[str, str]]  # task, prompt, completion, and for examples target

    def write(self, folder: Path) -> None:
        """Leave the four files in the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / "scores.json", self.scores)
        _write_json(folder / "samples.json", self.samples)
        pq.write_table(self.losses, folder / "losses.parquet", compression="zstd")
        pq.write_table(self.predictions, folder / "predictions.parquet", compression="zstd")


def evaluate(folder: Path, settings: Evaluate, name: str = "model", prepared: Path = PREPARED) -> Evaluation:
    """Score the model of a folder on the test split of the prepared tables; the scores call it `name`."""
    model, tokenizer = hf.load(folder), Tokenizer.load(folder)
    documents = selection.documents(prepared / "documents/test", settings.max_bytes_per_source)
    examples = _examples(prepared, settings)
    with _arithmetic():
        document_losses = losses(
            model,
            tokenizer,
            documents,
            max_sequence_length=model.config.max_sequence_length,
            tokens_per_batch=settings.tokens_per_batch,
            stage=f"evaluate@{name}",
        )
        speaker = Speaker(
            model, tokenizer, settings.max_example_tokens, settings.max_new_tokens, settings.repetition_penalty
        )
        answers = _answers(speaker, examples, f"evaluate@{name}")
        all_answers = pa.concat_tables([predictions.SCHEMA.empty_table(), *answers.values()])
        samples = _samples(speaker, documents, all_answers, settings)
    return Evaluation(
        scores={
            "model": name,
            "parameters": sum(weight.numel() for weight in model.parameters()),
            "bits_per_byte": scores.bits_per_byte(document_losses, settings),
            "tasks": {task: _score(TASKS[task], table, *examples[task], settings) for task, table in answers.items()},
        },
        losses=document_losses,
        predictions=all_answers,
        samples=samples,
    )


def _arithmetic() -> torch.autocast:
    """bf16 where the processor multiplies it, which halves the time.

    Measured on a trained model of 4M parameters: bf16 and fp32 differ by 2e-5 of all nats. With other batches a
    document's nats move by up to 2e-4 of themselves (fp32: 1e-8) and their sum by 1e-7; the batches follow from
    data and settings, so that the scores of a model stay the same.
    """
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported())


def _examples(prepared: Path, settings: Evaluate) -> dict[str, tuple[list[Example], list[Example]]]:
    """For each task that the tables have: its train examples, and those of the test split that are scored."""
    found = {
        task: (
            selection.examples(prepared / "examples/train", task),
            selection.examples(prepared / "examples/test", task, settings.max_examples),
        )
        for task in TASKS
    }
    return {task: (train, test) for task, (train, test) in found.items() if train and test}


def _answers(
    speaker: Speaker, examples: dict[str, tuple[list[Example], list[Example]]], stage: str
) -> dict[str, pa.Table]:
    """A table of predictions for each task."""
    total = sum(len(test) for _, test in examples.values())
    with Progress(stage, total, "examples") as progress:
        return {
            name: predictions.table(TASKS[name], test, speaker.predict(TASKS[name], test, progress))
            for name, (_, test) in examples.items()
        }


def _score(
    task: Task, answers: pa.Table, train: list[Example], test: list[Example], settings: Evaluate
) -> dict[str, object]:
    rivals = {
        name: predictions.table(task, test, baseline(train, test))["score"].to_pylist()
        for name, baseline in baselines(task).items()
    }
    return scores.task_score(task, answers["score"].to_pylist(), rivals, settings)


def _samples(speaker: Speaker, documents: pa.Table, answers: pa.Table, settings: Evaluate) -> list[dict[str, str]]:
    """The first documents of each source, continued, and the first answers to each task."""
    texts = [row["text"] for row in _first_of_each(documents, "source", settings.samples)]
    continued = speaker.continue_documents(texts, settings.seed)
    return [
        *({"task": "text", "prompt": beginning, "completion": rest} for beginning, rest in continued),
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


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    evaluate(folder, params.read("evaluate", Evaluate), name).write(REPORTS / name)


if __name__ == "__main__":
    stage.run(f"evaluate@{sys.argv[1]}", main)
