"""Stage `evaluate`: a model's bits per byte and task scores on the test split, next to the baselines."""

import sys
from pathlib import Path

import pyarrow.parquet as pq

from components.core import context_window, params, stage
from components.evaluation.evaluation import evaluate
from components.evaluation.settings import Evaluate

REPORTS = Path("reports/evaluation")


def main() -> None:
    context_window.check()
    name, folder, training = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    taught = pq.read_table(training / "examples.parquet", columns=["example"])["example"].unique().to_pylist()
    evaluate(folder, params.read("evaluate", Evaluate), name, taught=taught).write(REPORTS / name)


if __name__ == "__main__":
    stage.run(f"evaluate@{sys.argv[1]}", main)
