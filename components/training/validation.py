"""Metrics of a model in training on rows that it is not trained on."""

import math
from collections.abc import Callable

import torch

from components.model.interface import LanguageModel
from components.model.transformer import IGNORED
from components.tokenizer.tokenizer import Tokenizer
from components.training.data.batches import Batch
from components.training.engine.loop import Metrics

Validation = Callable[[LanguageModel], Metrics]


def bits_per_byte(batches: list[Batch], tokenizer: Tokenizer) -> Validation:
    """Bits per byte of the text of the targets."""
    targets = torch.cat([batch.targets_BT.flatten() for batch in batches]).numpy()
    before = torch.cat([batch.tokens_BT.flatten() for batch in batches]).numpy()
    count = tokenizer.text_bytes(targets[targets != IGNORED], before[targets != IGNORED])
    return lambda model: {"bits_per_byte": _nats(model, batches) / math.log(2) / count}


def label_loss(batches: list[Batch]) -> Validation:
    """The mean cross-entropy of the labels, in nats."""
    count = sum(int((batch.targets_BT != IGNORED).sum()) for batch in batches)
    return lambda model: {"label_loss": _nats(model, batches) / count}


def _nats(model: LanguageModel, batches: list[Batch]) -> float:
    device = model.device
    return math.fsum(float(model.loss(*batch.to(device).tensors())) for batch in batches)
