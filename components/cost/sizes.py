"""The sizes of the training runs of given settings, counted without initializing a weight."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from components.core import params
from components.core.recipe import PRETRAINED
from components.model import arithmetic, hf, hf_loading
from components.model.config import Config, ModelConfig
from components.model.hf_classes import ModuleConfig
from components.model.interface import LanguageModel
from components.model.lora_settings import Lora
from components.model.transformer import Transformer
from components.tokenizer_training.settings import TrainTokenizer
from components.training import initialization, scaling
from components.training.data.batches import SpanCorruption
from components.training.engine import hardware, optimizer
from components.training.settings import Finetune, PartialOptimization, PinnedModel, Pretrain

FP32 = 4  # bytes


@dataclass(frozen=True)
class Size:
    """What a training run has to compute, and in which dtype."""

    config: Config
    weights: int
    trained: int  # of the weights: all, or adapters
    memory: int  # bytes of weights, gradients and optimizer states
    steps: int
    tokens: int  # per step
    flops_per_token: int  # forward and backward
    traffic_per_token: float  # numbers that the matrices read and write per token, forward
    optimizer_flops: int  # per step
    dtype: torch.dtype  # of the matrix products
    compiled: bool

    @property
    def flops(self) -> int:
        """Floating-point operations of the whole training run."""
        return self.steps * (self.tokens * self.flops_per_token + self.optimizer_flops)


def of_settings(settings: Mapping[str, Any]) -> dict[str, Size]:
    """The sizes of the training runs in the content of params.yaml, by the names of their stages.

    Raises `BadData` when a model to start from does not exist.
    """
    configs, found = dict[str, Config](), dict[str, Size]()
    if "pretrain" in settings:
        pretrain = params.parse(settings["pretrain"], Pretrain, "pretrain")
        config = base(pretrain, params.parse(settings["tokenizer"], TrainTokenizer, "tokenizer").vocab_size)
        configs[str(PRETRAINED)] = config
        found["pretrain"] = training(pretrain.optimization, config, *row_lengths(pretrain))
    for name, recipe in params.parse(settings.get("finetune", {}), dict[str, Finetune], "finetune").items():
        config = configs.get(recipe.base) or hf.read_config(Path(recipe.base))
        found[f"finetune@{name}"] = finetuning(recipe, config)
    return found


def training(
    optimization: PartialOptimization, config: Config, length: int, source_length: int, adapters: Lora | None = None
) -> Size:
    """A training run on rows of `length` tokens for the decoder (or the only stack), `source_length` for an encoder."""
    model, device = skeleton(config), hardware.device()
    filled = scaling.resolve(optimization, model, config.max_sequence_length)
    dtype = arithmetic.chosen(filled.precision, device)
    matrices = [module for module in model.modules() if isinstance(module, nn.Linear)]
    numbers = sum(matrix.in_features + matrix.out_features for matrix in matrices)
    products = 6 * sum(matrix.weight.numel() for matrix in matrices)
    passed = model.flops_per_token(length, source_length) / products  # of two stacks a token passes through one
    if adapters is not None:
        initialization.adapt(model, adapters, filled.seed)
    by_muon = optimizer.kinds(model)[2] if filled.optimizer == "muon" else {}
    weights, trained = _count(model.parameters()), _count(weight for _, weight in optimizer.trained(model))
    return Size(
        config=config,
        weights=weights,
        trained=trained,
        # Gradients, and two moments of AdamW or one of Muon, all in fp32.
        memory=FP32 * (weights + 3 * trained - _count(by_muon)),
        steps=filled.steps,
        tokens=filled.batch_size * (length + source_length),
        flops_per_token=model.flops_per_token(length, source_length),
        traffic_per_token=numbers * passed,
        optimizer_flops=optimizer.flops(by_muon, dtype),
        dtype=dtype,
        compiled=hardware.compiles(filled, device, compilable=model.compilable),
    )


def _count(weights: Iterable[Tensor]) -> int:
    return sum(weight.numel() for weight in weights)


def finetuning(settings: Finetune, config: Config) -> Size:
    """The fine-tuning of a recipe; the head of an encoder is counted with two labels, whatever their number."""
    length = settings.sequence_length or config.max_sequence_length
    if config.architecture == "encoder":
        config = config.with_labels(("", ""))
    if config.architecture == "encoder_decoder":
        return training(settings.optimization, config, length // 2, length, settings.lora)
    return training(settings.optimization, config, length, 0, settings.lora)


def row_lengths(settings: Pretrain) -> tuple[int, int]:
    """Tokens per row of the decoder (or the only stack), and of the encoder in front of it."""
    length = settings.sequence_length
    if settings.span_corruption is not None:
        spans = settings.span_corruption
        hidden, count = SpanCorruption(0, (), spans.rate, spans.mean_span).sizes(length)
        return hidden + count + 1, length - hidden + count
    return length, length if settings.objective == "sequence_to_sequence" else 0


def base(settings: Pretrain, vocab_size: int) -> Config:
    """The configuration of the base model: from its settings, or from the folder that it starts from."""
    if not isinstance(settings.start, PinnedModel):
        return settings.model.build(vocab_size, settings.sequence_length)
    config = hf.read_config(Path(settings.start.folder))
    return replace(config, max_sequence_length=settings.sequence_length)


def skeleton(config: Config) -> LanguageModel:
    """A model whose weights are never written, and so take no memory."""
    if isinstance(config, ModuleConfig):
        return hf_loading.skeleton(config)
    assert isinstance(config, ModelConfig)
    with _Unset():
        return Transformer(config)


class _Unset(TorchFunctionMode):
    """Leave weights as they are allocated. (The device `meta` would import sympy and more, which takes a second.)"""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return None
        return func(*args, **(kwargs or {}))
