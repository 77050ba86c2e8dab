"""What is each ingredient of the recipe worth? The same tokens with and without it, over several seeds.

    dvc repro encode
    python -m benchmarks.ablations [--quick | --long]

Each variant changes one thing in `params.yaml`. All are trained on the same documents in the same order for a seed; the
table shows by how many bits per byte a variant is worse (+) or better (-) than the recipe, as the mean of the
differences by seed with its 95% interval (Student's t). `--long` takes the size and length of `params.yaml` and one
seed; `--quick` one seed and a few steps, to check that it works.
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.variants import changed, row, train
from components.core import params
from components.stages import pretrain
from components.tokenizer.tokenizer import Tokenizer
from components.training import scaling
from components.training.settings import Pretrain
from components.training.validation import bits_per_byte

# Small enough that dozens of training runs fit into a lunch break.
SHORT = {
    "model.depth": 2, "validation_rows": 256, "optimization.steps": 300, "optimization.log_every": 100,
    "optimization.validate_every": 300, "optimization.checkpoint_every": 300,
}  # fmt: skip
QUICK = SHORT | {"optimization.steps": 20, "optimization.validate_every": 20, "optimization.compile": "never"}
LONG = {"model.depth": 4, "validation_rows": 256}
SEEDS = (1, 2, 3)


def variants(depth: int) -> dict[str, dict[str, Any]]:
    """The changes of each variant to the recipe, for `depth` layers and as many heads."""
    return {
        "AdamW, 1.5e-3": {"optimization.optimizer": "adamw", "optimization.learning_rate": 1.5e-3},
        "AdamW, 3e-3": {"optimization.optimizer": "adamw", "optimization.learning_rate": 3e-3},
        "AdamW, 6e-3": {"optimization.optimizer": "adamw"},
        "no QK-norm": {"model.qk_norm": False},
        "zero projections": {"zero_projections": True},
        "logits capped at 15": {"model.logit_soft_cap": 15.0},
        "z-loss of 1e-4": {"optimization.z_loss": 1e-4},
        "cosine over all steps": {"optimization.decay": "cosine", "optimization.decay_share": 1.0},
        "linear over all steps": {"optimization.decay_share": 1.0},
        "no warm-up": {"optimization.warmup_steps": 0},
        "no weight decay": {"optimization.weight_decay": 0.0},
        "no clipping": {"optimization.max_gradient_norm": 1e9},
        "GELU": {"model.activation": "gelu"},
        "LayerNorm and biases": {"model.norm": "layer"},
        "learned positions": {"model.positions": "learned"},
        "every head its own keys": {"model.num_kv_heads": depth},
        "bigrams in 65,536 rows": {"model.ngram_rows": [65_536]},
        "untied embeddings": {"model.tie_embeddings": False},
        "no document mask": {"document_mask": False},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", dest="size", action="store_const", const=QUICK, default=SHORT)
    length.add_argument("--long", dest="size", action="store_const", const=LONG)
    names = sorted(variants(0))
    parser.add_argument("--only", action="append", choices=names, help="this variant alone, or with others")
    arguments = parser.parse_args()
    size = arguments.size
    seeds = SEEDS if size is SHORT else SEEDS[:1]
    recipe = params.load(params.PARAMS)["pretrain"]
    chosen = variants(size["model.depth"])
    if arguments.only:
        chosen = {name: chosen[name] for name in arguments.only}
    scores = {"the recipe": measure("the recipe", recipe, size, seeds)}
    for name, changes in chosen.items():
        scores[name] = measure(name, recipe, size | changes, seeds)
        print(row(name, scores[name], scores["the recipe"]), flush=True)
    print(f"\n{'the recipe':26} {statistics.mean(scores['the recipe']):.4f} bits per byte")
    for name in chosen:
        print(row(name, scores[name], scores["the recipe"]))
    print(json.dumps({"seeds": seeds, "bits_per_byte": scores}))


def measure(name: str, recipe: Mapping[str, Any], changes: Mapping[str, Any], seeds: tuple[int, ...]) -> list[float]:
    """The bits per byte of the validation split at the end of training, for each seed."""
    found = []
    for seed in seeds:
        settings = changed(recipe, {**changes, "optimization.seed": seed})
        found.append(pretrained(params.parse(settings, Pretrain, "pretrain")))
        print(f"{name}, seed {seed}: {found[-1]:.4f}", flush=True)
    return found


def pretrained(settings: Pretrain) -> float:
    """Train once; returns the bits per byte of the last validation."""
    tokenizer = Tokenizer.load(pretrain.TOKENIZER)
    model = pretrain.build(settings, tokenizer.vocab_size)
    optimization = scaling.resolve(settings.optimization, model, settings.sequence_length)
    phases = pretrain.mix(settings, optimization.steps, optimization.batch_size)
    rows, sample = pretrain.data(settings, tokenizer, optimization.batch_size, phases)
    validate = bits_per_byte(sample.split(optimization.micro_batch_size), tokenizer)
    return train("ablation", model, rows, validate, optimization)


if __name__ == "__main__":
    main()
