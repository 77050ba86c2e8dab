"""Stage `finetune@<recipe>`: the base model taught a mixture of tasks, with the loss on the answers."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import torch

from components import params, stage, tracking
from components.model import hf
from components.tasks import TASKS
from components.tokenizer.tokenizer import Tokenizer
from components.training import checkpoints, mixture, outs
from components.training.batches import Batch, Windows
from components.training.loop import Job, train
from components.training.pretrain import TOKENS, bits_per_byte
from components.training.settings import Finetune

BASE = Path("models/pretrained")
EXAMPLES = Path("data/prepared/examples")


def rows(split: str, settings: Finetune, tokenizer: Tokenizer, length: int) -> Iterator[Batch]:
    """An endless sequence of packed rows of a split, shuffled anew each time around."""
    parts = mixture.load(EXAMPLES / split, settings.tasks)
    seed = settings.optimization.seed
    while True:
        examples = mixture.mix(parts, settings.tasks, seed)
        yield from mixture.pack(
            mixture.encode(examples, tokenizer, min(length, settings.max_example_tokens)), length, tokenizer.padding
        )
        seed += 1


def batches(settings: Finetune, tokenizer: Tokenizer, length: int) -> Callable[[int], Batch]:
    """The batch of a step: packed examples or, in the share of the steps that replay, pretraining documents.

    A step is one or the other: side by side, the many tokens of documents would outweigh the few of answers.
    """
    optimization = settings.optimization
    size = optimization.batch_size
    examples = list(islice(rows("train", settings, tokenizer, length), optimization.steps * size))
    documents = Windows.of_split(TOKENS, "train", length)

    def batch(step: int) -> Batch:
        if int((step + 1) * settings.replay) > int(step * settings.replay):
            return documents.batch(step, size, optimization.seed)
        return mixture.stack(examples[step * size : (step + 1) * size])

    return batch


def read(recipe: str) -> Finetune:
    """The settings of a recipe. Raises `BadSettings` for a task that nobody knows."""
    settings = params.read(f"finetune.{recipe}", Finetune)
    for task in settings.tasks:
        if task not in TASKS:
            raise stage.BadSettings(f"params.yaml: finetune.{recipe}.tasks.{task}: {params.suggest(task, list(TASKS))}")
    return settings


def main(recipe: str) -> None:
    settings = read(recipe)
    optimization = settings.optimization
    model, tokenizer = hf.load(BASE), Tokenizer.load(BASE)
    length = model.config.max_sequence_length
    validation = mixture.stack(list(islice(rows("validation", settings, tokenizer, length), settings.validation_rows)))
    inputs = [BASE / "model.safetensors", TOKENS / "manifest.json", EXAMPLES / "train", *checkpoints.CODE]
    key = checkpoints.key(settings, inputs)
    with tracking.start(f"finetune@{recipe}", key, asdict(settings)) as run:
        history = train(
            Job(
                stage=f"finetune@{recipe}",
                model=model,
                batch=batches(settings, tokenizer, length),
                validate=bits_per_byte(
                    validation.split(optimization.micro_batch_size), torch.from_numpy(tokenizer.byte_lengths())
                ),
                settings=optimization,
                checkpoints=checkpoints.CHECKPOINTS / key,
                report=run.log,
            )
        )
    tokens = optimization.steps * optimization.batch_size * length
    folder = Path("models/finetuned") / recipe
    outs.save_model(model, BASE, folder, {"stage_key": key, "steps": optimization.steps, "tokens": tokens})
    outs.save_curves(history, Path("reports/training/finetune") / recipe)
    shutil.rmtree(checkpoints.CHECKPOINTS / key, ignore_errors=True)


if __name__ == "__main__":
    stage.run(f"finetune@{sys.argv[1]}", lambda: main(sys.argv[1]))
