"""What is each setting of the fine-tuning worth? Measured on validation examples, which no reported score uses.

    dvc repro pretrain
    python -m benchmarks.finetuning [--quick]

Each variant changes one thing in the recipe `assistant` of `params.yaml`, and starts from the same base model. The
table shows by how much the mean score of the tasks, and the bits per byte of documents, are above (+) or below (-)
those of the recipe: the mean of the differences by seed with its 95% interval. `--quick` takes one seed and a few
steps, to check that it works.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from benchmarks.variants import changed, row, train
from components.core import params
from components.core.progress import Progress
from components.core.recipe import PRETRAINED
from components.evaluation import predictions, selection
from components.evaluation.predictions import Predictor
from components.evaluation.settings import Evaluate
from components.model import hf, lora
from components.model.transformer import Transformer
from components.stages import finetune
from components.tasks import Task, catalog, labels
from components.tokenizer.tokenizer import Tokenizer
from components.training import scaling
from components.training.data import batches
from components.training.data.batches import Causal
from components.training.settings import Finetune
from components.training.validation import bits_per_byte

RECIPE = "assistant"
SEEDS = (1, 2)
DOCUMENTS = 256  # rows
QUICK = {"optimization.steps": 20, "optimization.compile": "never"}

EQUAL = dict.fromkeys(("topic", "sentiment_en", "sentiment_zh", "description", "question_answering"), 1.0)
LORA = {
    "method": "lora",
    "lora": {"rank": 8, "alpha": 16, "targets": "all", "register": "merged"},
    "optimization.learning_rate": 4e-3,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "half the rate": {"optimization.learning_rate": 1e-3},
    "twice the rate": {"optimization.learning_rate": 4e-3},
    "AdamW, 5e-4": {"optimization.optimizer": "adamw", "optimization.learning_rate": 5e-4},
    "LoRA": LORA,
    "LoRA, the rate of all weights": LORA | {"optimization.learning_rate": 1.5e-3},
    "LoRA, AdamW, 2e-3": LORA | {"optimization.optimizer": "adamw", "optimization.learning_rate": 2e-3},
    "no replay": {"replay": 0.0},
    "twice the replay": {"replay": 0.25},
    "equal shares": {"tasks": EQUAL},
    "decay over half": {"optimization.decay_share": 0.5},
    "prompts of 48 tokens": {"max_prompt_tokens": 48},
    "prompts of 96 tokens": {"max_prompt_tokens": 96},
}
PENALTIES = (1.0, 1.1, 1.3)  # instead of 1.2
THE_RECIPE = "the recipe"


@dataclass(frozen=True)
class Scores:
    """The scores of a fine-tuned model on the validation split."""

    tasks: Mapping[str, float]
    bits_per_byte: float  # of documents

    @property
    def mean(self) -> float:
        """The mean score of the tasks."""
        return statistics.mean(self.tasks.values())

    def __str__(self) -> str:
        tasks = ", ".join(f"{task} {score:.3f}" for task, score in self.tasks.items())
        return f"{self.mean:.4f} ({tasks}), {self.bits_per_byte:.4f} bits per byte"


FIGURES: dict[str, Callable[[Scores], float]] = {
    "mean score": lambda scores: scores.mean,
    "bits per byte": lambda scores: scores.bits_per_byte,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed and a few steps, to see that it works")
    parser.add_argument("--only", action="append", choices=VARIANTS, help="this variant alone, or with others")
    arguments = parser.parse_args()
    evaluate = params.read("evaluate", Evaluate)
    sizes: list[dict[str, Any]] = [{"optimization.seed": seed} for seed in SEEDS]
    if arguments.quick:
        evaluate, sizes = replace(evaluate, max_examples=20), [QUICK]
    found: dict[str, list[Scores]] = {}
    for size in sizes:
        for name, scores in measure(arguments.only or VARIANTS, size, evaluate):
            print(f"{name}: {scores}", flush=True)
            found.setdefault(name, []).append(scores)
    report(found)


def report(found: Mapping[str, Sequence[Scores]]) -> None:
    """Print a table for each metric, and one line of JSON."""
    for title, figure in FIGURES.items():
        recipe = [figure(scores) for scores in found[THE_RECIPE]]
        print(f"\n{THE_RECIPE:26} {statistics.mean(recipe):.4f} {title}")
        for name in found:
            if name != THE_RECIPE:
                print(row(name, [figure(scores) for scores in found[name]], recipe))
    print(json.dumps({name: [asdict(scores) for scores in found[name]] for name in found}))


def measure(names: Iterable[str], size: dict[str, Any], evaluate: Evaluate) -> Iterator[tuple[str, Scores]]:
    """Fine-tune with the recipe and with each variant in turn, and score them; a penalty needs no fine-tuning."""
    section = params.load(params.PARAMS)["finetune"][RECIPE]
    recipe = read(section, size)
    taught = teach(recipe)
    yield THE_RECIPE, taught.scores(evaluate)
    for penalty in PENALTIES:
        yield f"a penalty of {penalty}", taught.scores(replace(evaluate, repetition_penalty=penalty))
    for name in names:
        variant = read(section, size | VARIANTS[name])
        yield name, teach(variant).scores(evaluate)


def read(section: Mapping[str, Any], changes: Mapping[str, Any]) -> Finetune:
    """The settings of the recipe with some values changed, by dotted names."""
    return params.parse(changed(section, changes), Finetune, f"finetune.{RECIPE}")


@dataclass(frozen=True)
class Taught:
    """A fine-tuned model, and its bits per byte on documents."""

    model: Transformer
    tokenizer: Tokenizer
    max_prompt_tokens: int
    bits_per_byte: float

    def scores(self, settings: Evaluate) -> Scores:
        """The scores of its answers to the validation examples."""
        new, penalty = settings.max_new_tokens, settings.repetition_penalty
        speaker = Predictor(self.model, self.tokenizer, self.max_prompt_tokens, new, penalty)
        examples = {
            name: selection.examples(finetune.EXAMPLES / "validation", name, settings.max_examples) for name in EQUAL
        }
        tasks = known()
        with Progress("scores", sum(map(len, examples.values())), "examples") as progress:
            tables = {
                name: predictions.table(tasks[name], asked, speaker.predict(tasks[name], asked, progress))
                for name, asked in examples.items()
            }
        means = {name: statistics.mean(table["score"].to_pylist()) for name, table in tables.items()}
        return Scores(means, self.bits_per_byte)


def known() -> dict[str, Task]:
    """All tasks, with their labels."""
    return labels.resolve(catalog.load(), finetune.EXAMPLES / "train")


def teach(settings: Finetune) -> Taught:
    """Fine-tune the base model once."""
    model, tokenizer = hf.load(PRETRAINED), Tokenizer.load(PRETRAINED)
    length = model.config.max_sequence_length
    documents = batches.of_documents(
        finetune.TOKENS, "validation", Causal(tokenizer.end_of_text, document_mask=True), length, seed=1
    )
    validate = bits_per_byte(documents(np.arange(DOCUMENTS)).split(8), tokenizer)
    steps = settings.optimization.steps
    optimization = replace(settings.optimization, validate_every=steps, checkpoint_every=steps)
    rows = finetune.training_rows(settings, known(), model, tokenizer)
    finetune.adapt(model, settings)
    found = train("fine-tuning", model, rows, validate, scaling.resolve(optimization, model, length))
    lora.merge(model)
    return Taught(model, tokenizer, settings.max_prompt_tokens, found)


if __name__ == "__main__":
    main()
