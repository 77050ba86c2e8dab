"""`python -m components.cost.count`: how large the trainings in params.yaml are, and how fast this machine may be.

A process of its own, as importing PyTorch takes longer than the plan that shows the estimate. No weight is drawn.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.overrides import TorchFunctionMode

from components import params, stage
from components.cost import estimate
from components.cost.estimate import Counts, Training
from components.model import arithmetic, hf
from components.model.config import ModelConfig
from components.model.transformer import Transformer
from components.tokenizer.settings import TrainTokenizer
from components.training import dial, hardware
from components.training.objectives import SpanCorruption
from components.training.settings import DialledOptimization, Finetune, Pretrain


def training(optimization: DialledOptimization, config: ModelConfig, length: int, source_length: int) -> Training:
    """A training on rows of so many tokens for the decoder (or the only stack) and the encoder in front of it."""
    model = skeleton(config)
    filled = dial.fill(optimization, model, config.max_sequence_length)
    return Training(
        weights=sum(weight.numel() for weight in model.parameters()),
        tokens=filled.steps * filled.batch_size * (length + source_length),
        flops_per_token=model.flops_per_token(length, source_length),
    )


def finetuning(settings: Finetune, config: ModelConfig) -> Training:
    """The training of a recipe; an encoder gets a head for its labels, of which two stand for all."""
    length = config.max_sequence_length
    if config.architecture == "encoder":
        config = replace(config, labels=("", ""))
    if config.architecture == "encoder_decoder":
        return training(settings.optimization, config, length // 2, length)
    return training(settings.optimization, config, length, 0)


def row_lengths(settings: Pretrain) -> tuple[int, int]:
    """Tokens of a row that the decoder (or the only stack) reads, and those that the encoder in front of it reads."""
    length = settings.sequence_length
    if settings.span_corruption is not None:
        spans = settings.span_corruption
        hidden, count = SpanCorruption(0, (), spans.rate, spans.mean_span).sizes(length)
        return hidden + count + 1, length - hidden + count
    return length, length if settings.objective == "sequence_to_sequence" else 0


def base(settings: Pretrain, vocab_size: int) -> ModelConfig:
    """The sizes of the base model: by its settings, or those of the folder that it starts from."""
    if settings.start is None:
        return settings.model.build(vocab_size, settings.sequence_length)
    file = Path(settings.start.folder) / "config.json"
    if not file.exists():
        raise stage.BadData(f"{settings.start.folder}, which pretrain.start names, holds no config.json")
    config = hf.read_config(json.loads(file.read_text()), str(file))
    return replace(config, max_sequence_length=settings.sequence_length)


def skeleton(config: ModelConfig) -> Transformer:
    """A model whose weights were never written, and so take no memory."""
    with _Unset():
        return Transformer(config)


class _Unset(TorchFunctionMode):
    """Weights stay as they are allocated. (The device `meta` would import sympy and more, which takes a second.)"""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return None
        return func(*args, **(kwargs or {}))


def main() -> None:
    pretrain = params.read("pretrain", Pretrain)
    config = base(pretrain, params.read("tokenizer", TrainTokenizer).vocab_size)
    trainings = {"pretrain": training(pretrain.optimization, config, *row_lengths(pretrain))}
    for recipe, settings in params.read("finetune", dict[str, Finetune]).items():
        trainings[f"finetune@{recipe}"] = finetuning(settings, config)
    device = hardware.device()
    dtype = arithmetic.chosen(pretrain.optimization.precision, device)
    estimate.save(Counts(estimate.digest(), trainings, hardware.matmul_peak(device, dtype)))


if __name__ == "__main__":
    stage.run("cost", main)
