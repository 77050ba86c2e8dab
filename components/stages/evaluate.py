"""Stage `evaluate@<recipe>`: a model's bits per byte and task scores on the test split, next to the baselines."""

import sys

import pyarrow.parquet as pq

from components.core import context_window, params, recipe, stage
from components.evaluation.evaluation import evaluate
from components.evaluation.settings import Evaluate


def main(name: str) -> None:
    context_window.check()
    read = pq.read_table(recipe.curves(name) / "examples.parquet", columns=["example"])
    train_ids = read["example"].unique().to_pylist()
    found = evaluate(recipe.weights(name), params.read("evaluate", Evaluate), name, train_ids=train_ids)
    for task, score in found.scores["tasks"].items():
        if unread := score.get("unread"):
            print(f"{task}: {unread} of {score['examples']} examples are too long for a prompt: answered by nothing")
    found.write(recipe.evaluation(name))


if __name__ == "__main__":
    stage.run(recipe.stage("evaluate", sys.argv[1]), lambda: main(*sys.argv[1:]))
