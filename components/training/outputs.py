"""What a training stage leaves: a model folder that stands alone, and its curves."""

import csv
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.core import id_index
from components.model import hf
from components.model.transformer import Transformer
from components.training.data.data_order import Taken
from components.training.engine.loop import History, Row

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
EXAMPLES = pa.schema(
    [("step", pa.int32()), *((name, pa.string()) for name in ("example", "source", "task")), ("tokens", pa.int32())]
)
ROWS_PER_GROUP = 20_000  # so that what a step read is found without reading all


def save_model(model: Transformer, tokenizer: Path, folder: Path, facts: dict[str, object]) -> None:
    """Weights, sizes, tokenizer and `training.json` with facts about the training, in one folder."""
    hf.save(model, folder)
    for name in TOKENIZER_FILES:
        shutil.copyfile(tokenizer / name, folder / name)
    (folder / "training.json").write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")


def save_curves(history: History, folder: Path) -> None:
    """`loss.csv` and `validation.csv`, for DVC plots and the report."""
    folder.mkdir(parents=True, exist_ok=True)
    _save_rows(history.training, folder / "loss.csv")
    _save_rows(history.validation, folder / "validation.csv")


def save_examples(taken: Iterable[Taken], folder: Path) -> None:
    """`examples.parquet`, what each step read of the examples, and `examples.npy`, from the id of one to its steps.

    Both are empty after a training on documents alone.
    """
    table = pa.Table.from_pylist([row._asdict() for row in taken], EXAMPLES)
    pq.write_table(table, folder / "examples.parquet", compression="zstd", row_group_size=ROWS_PER_GROUP)
    id_index.write(folder / "examples.npy", table["example"].to_pylist(), table["step"].to_numpy())


def _save_rows(rows: list[Row], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
