"""Training speed of our engine, compared with `transformers` Qwen3 in a plain PyTorch loop.

    python -m benchmarks.training [--quick]

The same sizes of model, random tokens and 4,096 tokens a step; all take turns in rounds, so that other load on the
machine slows them alike. Peers in bf16 take part where the hardware has it; where it is emulated, a step would take
minutes. `--quick` takes the model of 6.8M weights, fewer rounds, and of the peers those in the faster type, and leaves
out the shares of time. The last line is one JSON object, of the model of 6.8M weights.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import profiling
from benchmarks.contenders import LENGTH, ROWS, SIZES, Size, ours, qwen3
from benchmarks.timing import Contender, Times, race, ratio
from components.model import arithmetic
from components.model.transformer import Transformer
from components.training.engine import hardware

TOKENS = ROWS * LENGTH  # of a step
MAIN = "6.8M"
OURS = {"ours, Muon": "muon", "ours, AdamW": "adamw"}
HARDWARE = arithmetic.of(arithmetic.CPU)
FP32 = {"Qwen3, fp32": (False, False), "Qwen3, fp32, compiled": (False, True)}
BF16 = {"Qwen3, bf16": (True, False), "Qwen3, bf16, compiled": (True, True)}
FASTEST = BF16 if HARDWARE.dtype is torch.bfloat16 else FP32
PEERS = FP32 | FASTEST
QUICK = ("ours, Muon", *FASTEST)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    if quick:
        results = {MAIN: measure(MAIN, QUICK, rounds=3)}
    else:
        results = {name: measure(name, (*OURS, *PEERS), rounds=6) for name in SIZES}
        profiling.show(SIZES[MAIN])
    print(json.dumps(results[MAIN] | {"sizes": results}))


def measure(name: str, contenders: Sequence[str], rounds: int) -> dict[str, Any]:
    """Race these contenders on a model of one size, print the table, and return its values."""
    size, steps = SIZES[name], 4
    flops = Transformer(size.config()).flops_per_token(LENGTH)
    print(f"\n{name} weights, {flops / 1e6:.1f} MFLOP a token", flush=True)
    peaks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        times = race(
            [_contender(each, size, steps, Path(folder)) for each in contenders], rounds, lambda: peaks.append(_peak())
        )
    return _table(times, steps, flops, max(peaks))


def _contender(name: str, size: Size, steps: int, folder: Path) -> Contender:
    cache = folder / re.sub(r"\W+", "-", name)
    if name in OURS:
        return Contender(name, ours, (size, OURS[name], steps), cache)
    return Contender(name, qwen3, (size, *PEERS[name], steps), cache)


def _peak() -> float:
    return hardware.matmul_peak(arithmetic.CPU, HARDWARE.dtype)


def _table(times: dict[str, Times], steps: int, flops: int, peak: float) -> dict[str, Any]:
    rates = {name: time.rate(steps * TOKENS) for name, time in times.items()}
    best = max(rates.keys() & PEERS, key=rates.__getitem__)
    thousand = {name: time.first + (1000 - steps) * TOKENS / rates[name] for name, time in times.items()}
    print(f"\nmatrix peak {peak / 1e12:.2f} TFLOP/s in {HARDWARE}; the best peer is {best}")
    print(f"{'':22} {'tokens/s':>9} {'of peak':>8} {'to best peer':>13} {'(range)':>13} {'1,000 steps':>12}")
    for name, time in times.items():
        middle, low, high = ratio(times[best], time)
        print(
            f"{name:22} {rates[name]:9,.0f} {rates[name] * flops / peak:8.0%} {middle:13.2f}"
            f" {f'({low:.2f}-{high:.2f})':>13} {thousand[name]:10,.0f} s"
        )
    default, *_ = OURS
    middle, low, high = ratio(times[best], times[default])
    return {
        "tokens_per_second": round(rates[default]),
        "best_peer": best,
        "best_peer_tokens_per_second": round(rates[best]),
        "ratio": round(middle, 3),
        "ratio_range": [round(low, 3), round(high, 3)],
        "share_of_peak": round(rates[default] * flops / peak, 3),
        "peak_tflops": round(peak / 1e12, 3),
        "all_tokens_per_second": {name: round(rate) for name, rate in rates.items()},
        "seconds_to_step_1000": {name: round(seconds) for name, seconds in thousand.items()},
    }


if __name__ == "__main__":
    main()
