"""What a training stage leaves: a model folder that stands alone, and its curves."""

import csv
import json
import shutil
from pathlib import Path

from components.model import hf
from components.model.transformer import Transformer
from components.training.loop import History, Row

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


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


def _save_rows(rows: list[Row], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
