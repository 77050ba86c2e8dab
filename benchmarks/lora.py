"""What LoRA saves: speed, memory and checkpoints of training adapters, compared with training all weights.

    python -m benchmarks.lora [--size 20M] [--rank 8]

The same decoders and rows as in `benchmarks.training`, with Muon; the contenders take turns in rounds. The memory is
the peak of the process, PyTorch and compiler included; the checkpoint is the one that the engine writes.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch

from benchmarks.contenders import LENGTH, ROWS, SIZES, Size, rows, settings
from benchmarks.timing import Contender, Reporting, Turn, race, ratio
from components.model import lora
from components.model.lora_settings import Lora
from components.model.transformer import Transformer
from components.training.engine import hardware
from components.training.engine.loop import Job, train

STEPS = 4  # of a turn
ROUNDS = 6
TARGETS = {"LoRA, all targets": "all", "LoRA, q_proj and v_proj": ("q_proj", "v_proj")}
ALL_WEIGHTS = "all weights"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="20M")
    parser.add_argument("--rank", type=int, default=8)
    arguments = parser.parse_args()
    methods: dict[str, Lora | None] = {ALL_WEIGHTS: None} | {
        name: Lora(rank=arguments.rank, alpha=2 * arguments.rank, targets=targets, register="adapter")  # type: ignore[arg-type]
        for name, targets in TARGETS.items()
    }
    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: Path(scratch) / str(number) for number, name in enumerate(methods)}
        contenders = [
            Contender(name, tune, (SIZES[arguments.size], method, folders[name]), folders[name] / "compiled")
            for name, method in methods.items()
        ]
        times = race(contenders, ROUNDS, lambda: None)
        print(f"\n{'':24} {'tokens/s':>9} {'to all weights':>15} {'(range)':>13} {'memory':>8} {'checkpoint':>11}")
        for name, time in times.items():
            middle, low, high = ratio(times[ALL_WEIGHTS], time)
            measured = json.loads((folders[name] / "measured.json").read_text())
            print(
                f"{name:24} {time.rate(STEPS * ROWS * LENGTH):9,.0f} {middle:15.2f} {f'({low:.2f}-{high:.2f})':>13}"
                f" {measured['memory'] / 1e6:5.0f} MB {measured['checkpoint'] / 1e6:8.1f} MB"
            )


def tune(turn: Turn, size: Size, method: Lora | None, folder: Path) -> None:
    """Train all weights or adapters in turns; after each one `measured.json` has the memory and the checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    model = Transformer(size.config())
    model.initialize(torch.Generator().manual_seed(1), zero_projections=False)
    if method is not None:
        lora.attach(model, method, seed=1)

    def report(*_: object) -> None:
        checkpoint = sum(file.stat().st_size for file in folder.glob("checkpoints/step-*/*.safetensors"))
        measured = {"memory": hardware.peak_memory(torch.device("cpu")), "checkpoint": checkpoint}
        (folder / "measured.json").write_text(json.dumps(measured))
        turn()

    train(
        Job(
            stage="benchmark", model=model, rows=lambda places: rows(places, size.vocab_size), validate=lambda _: {},
            settings=settings("muon", STEPS), parallel="ddp", checkpoints=folder / "checkpoints", made_from={},
        ),
        Reporting(report),
    )  # fmt: skip


if __name__ == "__main__":
    main()
