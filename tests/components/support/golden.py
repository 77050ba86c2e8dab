"""`python -m tests.components.support.golden`: take the figures of a hundred steps, as they are now, for right."""

import json
import tempfile
from pathlib import Path

import torch

from tests.components.support.toy import run

GOLDEN = Path(__file__).with_name("golden.json")


def golden_run(folder: Path, optimizer: str) -> list[tuple[float, float]]:
    """The loss and the norm of the gradient of each step."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    _, history, _ = run(folder, steps=100, optimizer=optimizer, checkpoint_every=1000)
    torch.set_num_threads(threads)
    return [(row["loss"], row["gradient_norm"]) for row in history.training]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        runs = {optimizer: golden_run(Path(folder) / optimizer, optimizer) for optimizer in ("adamw", "muon")}
    lines = [f'"{optimizer}": [\n' + ",\n".join(map(json.dumps, rows)) + "\n]" for optimizer, rows in runs.items()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
