"""A training run of a stage: tracked by MLflow, then written as a self-contained model folder and curves."""

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components import tracking
from components.core import id_index
from components.model.interface import LanguageModel
from components.tokenizer.tokenizer import Tokenizer
from components.training.data import mixture
from components.training.data.data_order import Reading, Table, Taken
from components.training.data.source_mix import Phases
from components.training.engine import checkpoints, distributed
from components.training.engine.loop import History, Job, Metrics, train
from components.training.settings import Finetune, Pretrain

EXAMPLES = pa.schema(
    [("step", pa.int32()), *((name, pa.string()) for name in ("example", "source", "task")), ("tokens", pa.int32())]
)
ROWS_PER_GROUP = 20_000  # so that the rows of a step are found without reading all


@dataclass(frozen=True)
class Outputs:
    """Outputs of a training stage: where they go, and what describes its data. `length` is a window's, in tokens."""

    tokenizer: Path  # the folder from which its files are copied
    model: Path
    reports: Path
    length: int
    shares: Mapping[Table, float]  # the tables that the steps read
    phases: Phases | None  # the plan of the sources of documents, where there is one
    predicts_next: bool  # whether the token after a window is predicted too
    facts: Mapping[str, object]  # for `training.json`
    save: Callable[[LanguageModel, Path], None]  # writes the model to a folder
    optimizer: Path | None = None  # the file for the state of the optimizers, where it is kept


def run(job: Job, settings: Pretrain | Finetune, outputs: Outputs) -> None:
    """Train the model of a job with `settings`, and write the outputs; then its checkpoints are removed.

    In one process or in many, of which rank 0 tracks the metrics and writes.
    """
    key = checkpoints.key(job.made_from)
    with distributed.group(), tracking.start(job.stage, key, asdict(settings)) as observer:
        first = distributed.is_rank0()
        history = train(job, observer if first else None, outputs.optimizer)
    if first:
        _save(job, key, history, outputs)
        shutil.rmtree(job.checkpoints, ignore_errors=True)


def _save(job: Job, key: str, history: History, outputs: Outputs) -> None:
    reading = _reading(job, history, outputs)
    steps, batch_size = job.settings.steps, job.settings.batch_size
    facts = {"stage_key": key, "steps": steps, "tokens": steps * batch_size * outputs.length, **outputs.facts}
    outputs.save(job.model, outputs.model)
    save_rest(outputs.tokenizer, outputs.model, facts | {"reading": asdict(reading)})
    save_curves(history, outputs.reports)
    save_examples(mixture.taken(job.rows, reading), outputs.reports)


def _reading(job: Job, history: History, outputs: Outputs) -> Reading:
    """The data order of the run."""
    return Reading(
        seed=job.settings.seed,
        steps=job.settings.steps,
        batch_size=job.settings.batch_size,
        length=outputs.length,
        reach=outputs.length + outputs.predicts_next,
        shares=tuple(outputs.shares.items()),
        rollbacks=tuple(history.rollbacks),
        skipped_steps=tuple(history.skipped_steps),
        phases=outputs.phases,
    )


def save_rest(tokenizer: Path, folder: Path, facts: dict[str, object]) -> None:
    """Write the tokenizer and `training.json`, with facts about the training run, beside the model in a folder."""
    Tokenizer.load(tokenizer).save(folder)
    (folder / "training.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")


def save_curves(history: History, folder: Path) -> None:
    """Write `loss.csv` and `validation.csv`, for DVC plots and the report."""
    folder.mkdir(parents=True, exist_ok=True)
    _save_rows(history.training, folder / "loss.csv")
    _save_rows(history.validation, folder / "validation.csv")


def save_examples(taken: Iterable[Taken], folder: Path) -> None:
    """Write `examples.parquet`, the examples that each step read, and `examples.npy`, from their ids to their steps.

    Both are empty after training on documents alone.
    """
    table = pa.Table.from_pylist([row._asdict() for row in taken], EXAMPLES)
    pq.write_table(table, folder / "examples.parquet", compression="zstd", row_group_size=ROWS_PER_GROUP)
    id_index.write(folder / "examples.npy", table["example"].to_pylist(), table["step"].to_numpy())


def _save_rows(rows: list[Metrics], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
