"""The cost of a checkpoint: the same model trained with one in each turn and with none, in turns of some seconds.

    python -m benchmarks.checkpoints

A checkpoint is written while training goes on; it costs the copy of the weights, and whatever time the writing takes
from the processor. The last line is one JSON object, of the largest model.
"""

import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.contenders import SIZES, Size, rows, run, settings
from benchmarks.timing import Contender, Turn, race
from components.model.transformer import Transformer

TURNS = {"6.8M": 16, "20M": 8}  # steps of a turn
ROUNDS = 4


def main() -> None:
    for name in TURNS:
        figures = measure(name)
    print(json.dumps(figures))


def measure(name: str) -> dict[str, object]:
    """The seconds that a checkpoint adds to the training of a model of one size."""
    size, steps = SIZES[name], TURNS[name]
    print(f"\n{name} weights, {steps} steps a turn", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        contenders = [
            Contender(kind, train, (size, steps, saves), Path(folder) / kind)
            for kind, saves in (("one", True), ("none", False))
        ]
        times = race(contenders, ROUNDS, lambda: None)
    lost = [one - none for one, none in zip(times["one"].turns, times["none"].turns, strict=True)]
    middle, low, high = statistics.median(lost), min(lost), max(lost)
    print(f"a checkpoint takes {middle:.2f} s ({low:.2f} to {high:.2f}): {middle / 60:.2%} of the time at one a minute")
    return {"weights": name, "seconds": round(middle, 3), "range": [round(low, 3), round(high, 3)]}


def train(turn: Turn, size: Size, steps: int, saves: bool) -> None:
    """Our engine with the settings of `params.yaml`, which include Muon; a turn has `steps` steps."""
    model = Transformer(size.config())
    model.initialize(torch.Generator().manual_seed(1), zero_projections=False)
    chosen = settings("muon", steps)
    if saves:
        chosen = replace(chosen, checkpoint_every=steps)
    run(model, lambda places: rows(places, size.vocab_size), chosen, lambda *_: turn())


if __name__ == "__main__":
    main()
