"""Training speed of the engine on one GPU, at the sizes of GPT-2.

    python -m benchmarks.gpu [--size 124M] [--steps 30] [--out gpu.md]

Needs torch, numpy, safetensors, tokenizers, PyYAML, annotated_types and tqdm; no network, and none of the project's
other requirements. Random tokens, rows of 1,024, the settings of `params.yaml`: bf16, compiled, Muon. The share is
that of the peak that NVIDIA states for dense bf16 on H100 and H200, and of the measured peak elsewhere. Speed is the
median over the steps after the first ten, which compile and warm up.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.timing import Reporting
from components.model.config import ModelConfig
from components.model.transformer import Transformer
from components.training.data.batches import Batch
from components.training.engine import hardware
from components.training.engine.loop import Job, train
from components.training.settings import Optimization

LENGTH, VOCAB_SIZE = 1024, 50304
STATED_PEAK = 989e12  # of H100 and H200 in dense bf16, in operations a second
WARM_UP = 10  # steps


@dataclass(frozen=True)
class Size:
    """Layers, width, and rows that fit into 80 GB at once."""

    num_layers: int
    hidden_size: int
    rows: int


SIZES = {"124M": Size(12, 768, 64), "350M": Size(24, 1024, 32), "760M": Size(24, 1536, 16)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", action="append", choices=list(SIZES))
    parser.add_argument("--rows", type=int, help="of a step, instead of those that fit into 80 GB")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--out", type=Path, help="a file for the table")
    arguments = parser.parse_args()
    device = hardware.device()
    peak = hardware.matmul_peak(device, torch.bfloat16)
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"no GPU, {platform.machine()}"
    lines = [
        f"{name}, PyTorch {torch.__version__}, measured bf16 peak {peak / 1e12:.0f} TFLOP/s",
        "",
        "| size | weights | rows a step | tokens/s | of the peak | memory | first step |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    results = {}
    for size in arguments.size or SIZES:
        rows = arguments.rows or SIZES[size].rows
        stated = STATED_PEAK if "H100" in name or "H200" in name else peak
        results[size] = measure(SIZES[size], rows, arguments.steps, stated)
        lines.append(f"| {size} | " + " | ".join(shown(results[size])) + " |")
        print(lines[-1], flush=True)
    table = "\n".join(lines)
    print(table)
    if arguments.out:
        arguments.out.write_text(table + "\n")
    print(json.dumps({"device": name, "measured_peak": peak, "sizes": results}))


def measure(size: Size, rows: int, steps: int, peak: float) -> dict[str, float]:
    """Train for some steps, and record each."""
    model = Transformer(config(size))
    model.initialize(torch.Generator().manual_seed(1), zero_projections=False)
    weights = sum(weight.numel() for weight in model.parameters())
    flops = model.flops_per_token(LENGTH)
    times: list[float] = [time.perf_counter()]
    memory = 0.0

    def report(step: int, row: dict[str, float]) -> None:  # noqa: ARG001 (the loop gives it)
        nonlocal memory
        if "memory_gb" in row:  # not the validation at the end
            times.append(time.perf_counter())
            memory = row["memory_gb"]

    run(model, settings(rows, steps), report)
    seconds = statistics.median(np.diff(times)[WARM_UP:])
    speed = rows * LENGTH / seconds
    return {
        "weights": weights,
        "rows": rows,
        "tokens_per_second": speed,
        "share_of_peak": speed * flops / peak,
        "memory_gb": memory,
        "first_step_s": times[1] - times[0],
    }


def config(size: Size) -> ModelConfig:
    """Heads of 64, each with its own keys and values, tied embeddings: the sizes of GPT-2 in our layers."""
    heads = size.hidden_size // 64
    return ModelConfig(
        architecture="decoder", vocab_size=VOCAB_SIZE, labels=(), hidden_size=size.hidden_size,
        num_layers=size.num_layers, num_heads=heads, num_kv_heads=heads, head_dim=64,
        intermediate_size=round(size.hidden_size * 8 / 3 / 64) * 64, max_sequence_length=LENGTH, positions="rotary",
        rope_theta=1e5, norm="rms", norm_position="pre", norm_eps=1e-6, activation="swiglu", qk_norm=True,
        tie_embeddings=True, logit_soft_cap=None,
    )  # fmt: skip


def settings(rows: int, steps: int) -> Optimization:
    """The settings of `params.yaml`, with metrics of every step and nothing else during training."""
    content: dict[str, Any] = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    given = content["pretrain"]["optimization"] | {
        "steps": steps, "batch_size": rows, "micro_batch_size": rows, "log_every": 1, "validate_every": steps,
        "checkpoint_every": steps + 1, "precision": "bf16",
    }  # fmt: skip
    numbers = {name: float(value) for name, value in given.items() if isinstance(value, str) and value[0].isdigit()}
    return Optimization(**given | numbers | {"betas": tuple(given["betas"])})


def run(model: Transformer, settings: Optimization, report: Any) -> None:
    """Train as a stage does, and leave nothing behind."""
    with tempfile.TemporaryDirectory() as folder:
        train(
            Job(
                stage="benchmark", model=model, rows=rows, validate=lambda _: {}, settings=settings, parallel="ddp",
                checkpoints=Path(folder), made_from={},
            ),
            Reporting(report),
        )  # fmt: skip


def rows(places: np.ndarray) -> Batch:
    """Random tokens."""
    chance = np.random.default_rng(int(places[0]))
    windows = torch.from_numpy(chance.integers(VOCAB_SIZE, size=(len(places), LENGTH + 1)))
    return Batch(windows[:, :-1], windows[:, 1:])


def shown(result: dict[str, float]) -> list[str]:
    """The cells of a row."""
    return [
        f"{result['weights'] / 1e6:.1f}M",
        f"{result['rows']}",
        f"{result['tokens_per_second']:,.0f}",
        f"{result['share_of_peak']:.0%}",
        f"{result['memory_gb']:.1f} GB",
        f"{result['first_step_s']:.0f} s",
    ]


if __name__ == "__main__":
    main()
