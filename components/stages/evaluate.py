"""Stage `evaluate`: a model's bits per byte and task scores on the test split, next to the baselines."""

import sys
from pathlib import Path

import pyarrow.parquet as pq

from components.core import context_window, params, stage
from components.evaluation.evaluation import evaluate
from components.evaluation.settings import Evaluate

REPORTS = Path("reports/evaluation")


def main(name: str, folder: str, training: str) -> None:
    context_window.check()
    taught = pq.read_table(Path(training) / "examples.parquet", columns=["example"])["example"].unique().to_pylist()
    evaluate(Path(folder), params.read("evaluate", Evaluate), name, taught=taught).write(REPORTS / name)


if __name__ == "__main__":
    stage.run(f"evaluate@{sys.argv[1]}", lambda: main(*sys.argv[1:]))
