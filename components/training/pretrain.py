"""Stage `pretrain`: the base model, trained to predict the next token of the documents."""

import math
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from components import params, stage, tracking
from components.model.transformer import IGNORED, Transformer
from components.tokenizer.tokenizer import Tokenizer
from components.training import checkpoints, outs
from components.training.batches import Batch, Windows
from components.training.loop import Job, Row, train
from components.training.settings import Pretrain

TOKENS = Path("data/tokens")
TOKENIZER = Path("models/tokenizer")
MODEL = Path("models/pretrained")
REPORTS = Path("reports/training/pretrain")


def bits_per_byte(batches: list[Batch], byte_lengths: Tensor) -> Callable[[Transformer], Row]:
    """A validation: the bits that a model needs for a byte of the text behind the targets.

    byte_lengths: of each id, [V].
    """
    targets = torch.cat([batch.targets_BT.flatten() for batch in batches])
    count = int(byte_lengths[targets[targets != IGNORED]].sum())

    def validate(model: Transformer) -> Row:
        device = model.embedding.weight.device
        nats = sum(float(model.loss(*batch.to(device))) for batch in batches)
        return {"bits_per_byte": nats / math.log(2) / count}

    return validate


def build(settings: Pretrain, vocab_size: int) -> Transformer:
    """The model before its first step."""
    model = Transformer(settings.model.build(vocab_size, settings.sequence_length))
    model.initialize(torch.Generator().manual_seed(settings.optimization.seed))
    return model


def main() -> None:
    settings = params.read("pretrain", Pretrain)
    optimization = settings.optimization
    tokenizer = Tokenizer.load(TOKENIZER)
    training = Windows.of_split(TOKENS, "train", settings.sequence_length)
    validation = Windows.of_split(TOKENS, "validation", settings.sequence_length)
    sample = validation.take(np.arange(min(len(validation), settings.validation_rows)))
    key = checkpoints.key(settings, [TOKENS / "manifest.json", TOKENIZER / "tokenizer.json", *checkpoints.CODE])
    model = build(settings, tokenizer.vocab_size)
    with tracking.start("pretrain", key, asdict(settings)) as run:
        history = train(
            Job(
                stage="pretrain",
                model=model,
                batch=lambda step: training.batch(step, optimization.batch_size, optimization.seed),
                validate=bits_per_byte(
                    sample.split(optimization.micro_batch_size), torch.from_numpy(tokenizer.byte_lengths())
                ),
                settings=optimization,
                checkpoints=checkpoints.CHECKPOINTS / key,
                report=run.log,
            )
        )
    tokens = optimization.steps * optimization.batch_size * settings.sequence_length
    outs.save_model(model, TOKENIZER, MODEL, {"stage_key": key, "steps": optimization.steps, "tokens": tokens})
    outs.save_curves(history, REPORTS)
    shutil.rmtree(checkpoints.CHECKPOINTS / key, ignore_errors=True)


if __name__ == "__main__":
    stage.run("pretrain", main)
