"""Speed of our generation, compared with `generate` of `transformers`: Qwen3 with the same weights, greedily.

    python -m benchmarks.generation [--quick]

A prompt has 32 tokens and gets 128 more, alone and in a batch of 16; all take turns in rounds, so that other load on
the machine slows them alike. In fp32 both must write the same tokens. `--quick` takes the default size and fewer
rounds, and compiles nothing. The last line is one JSON object, of the default size in a batch.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import Contender, Times, Turn, race, ratio
from components.model import hf
from components.model.config import ModelSettings
from components.model.cpu_inference import pack
from components.model.generation import generate
from components.model.transformer import Transformer

PROMPT, WRITTEN, BATCHES = 32, 128, (1, 16)  # tokens, tokens, rows
VOCABULARY = 4096
SIZES = {"4M": {"depth": 4}, "19M": {"depth": 6, "hidden_size": 512}}
MAIN, MAIN_BATCH = "4M", 16
OURS = "ours"
PEERS = {
    "Qwen3, fp32": ("float32", None),
    "Qwen3, fp32, static cache": ("float32", "static"),
    "Qwen3, fp32, compiled": ("float32", "compiled"),
    "Qwen3, bf16": ("bfloat16", None),
    "Qwen3, bf16, static cache": ("bfloat16", "static"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    results = {
        f"{size}, batch of {batch}": measure(size, batch, quick=quick)
        for size in ([MAIN] if quick else SIZES)
        for batch in BATCHES
    }
    print(json.dumps(results[f"{MAIN}, batch of {MAIN_BATCH}"] | {"all": results}))


def measure(size: str, batch: int, *, quick: bool) -> dict[str, Any]:
    """Race all contenders, print the table, and return its values."""
    print(f"\n{size} weights, batch of {batch}", flush=True)
    peers = [name for name, (_, cache) in PEERS.items() if not quick or cache != "compiled"]
    with tempfile.TemporaryDirectory() as scratch:
        folder, answers = Path(scratch) / "model", Path(scratch)
        hf.save(random_model(PROMPT + WRITTEN, **SIZES[size]), folder)
        prompts = torch.randint(VOCABULARY, (batch, PROMPT), generator=torch.Generator().manual_seed(0)).tolist()

        def contender(name: str, work: Callable[..., None], *kind: str | None) -> Contender:
            cache = answers / re.sub(r"\W+", "-", name)  # the compiler does not quote the path
            return Contender(name, work, (folder, prompts, answers / f"{name}.json", *kind), cache)

        racing = [contender(OURS, ours), *(contender(name, qwen3, *PEERS[name]) for name in peers)]
        times = race(racing, 5 if quick else 15, lambda: None)
        same = all(
            (answers / f"{OURS}.json").read_text() == (answers / f"{name}.json").read_text()
            for name in peers
            if PEERS[name][0] == "float32"
        )
    return _table(times, batch, same)


def ours(turn: Turn, folder: Path, prompts: list[list[int]], answers: Path) -> None:
    """Our model as it is served."""
    model = pack(hf.load(folder))
    _write(turn, lambda: generate(model, prompts, max_new_tokens=WRITTEN), answers)


def qwen3(turn: Turn, folder: Path, prompts: list[list[int]], answers: Path, dtype: str, cache: str | None) -> None:
    """The model of `transformers`, with its default cache, a static one, or a static one and compiled."""
    import transformers

    model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    prompts_BT = torch.tensor(prompts)
    settings: dict[str, Any] = {"max_new_tokens": WRITTEN, "min_new_tokens": WRITTEN, "do_sample": False}
    if cache is not None:
        settings |= {"cache_implementation": "static", "disable_compile": cache == "static"}
    if cache == "compiled":
        settings["compile_config"] = transformers.CompileConfig(fullgraph=False, mode="default")
        settings["compile_config"]._compile_all_devices = True  # otherwise it compiles on a GPU only

    def answer() -> list[list[int]]:
        said_BT = model.generate(prompts_BT, attention_mask=torch.ones_like(prompts_BT), **settings)
        tokens: list[list[int]] = said_BT[:, PROMPT:].tolist()
        return tokens

    _write(turn, answer, answers)


def _write(turn: Turn, answer: Callable[[], list[list[int]]], answers: Path) -> None:
    answers.write_text(json.dumps(answer()))
    while True:
        turn()
        answer()


def random_model(window: int, **sizes: int) -> Transformer:
    """Random weights, larger than initial ones, so that the answers are not all one token."""
    settings = ModelSettings(
        architecture="decoder", positions="rotary", rope_theta=10_000.0, norm="rms", norm_position="pre",
        norm_eps=1e-6, activation="swiglu", qk_norm=True, tie_embeddings=True, **sizes,
    )  # fmt: skip
    model = Transformer(settings.build(VOCABULARY, window))
    model.initialize(torch.Generator().manual_seed(0), zero_projections=False)
    with torch.no_grad():
        for block in model.blocks():
            block.mlp.up.weight.mul_(4)
            block.mlp.down.weight.mul_(4)
    return model


def _table(times: dict[str, Times], batch: int, same: bool) -> dict[str, Any]:
    rates = {name: time.rate(batch * WRITTEN) for name, time in times.items()}
    best = max((name for name in times if name != OURS), key=rates.__getitem__)
    print(f"\n{'':26} {'tokens/s':>9} {'ours is faster':>15} {'(range)':>13} {'first answer':>13}")
    for name, time in times.items():
        middle, low, high = ratio(time, times[OURS])
        print(
            f"{name:26} {rates[name]:9,.0f} {middle:14.2f}x {f'({low:.2f}-{high:.2f})':>13} {time.first:11.1f} s",
            flush=True,
        )
    print(f"greedy tokens of ours and of Qwen3 in fp32: {'the same' if same else 'NOT THE SAME'}")
    middle, low, high = ratio(times[best], times[OURS])
    return {
        "tokens_per_second": round(rates[OURS]),
        "best_peer": best,
        "best_peer_tokens_per_second": round(rates[best]),
        "ratio": round(middle, 3),
        "ratio_range": [round(low, 3), round(high, 3)],
        "same_tokens_in_fp32": same,
        "all_tokens_per_second": {name: round(rate) for name, rate in rates.items()},
    }


if __name__ == "__main__":
    main()
