"""Contenders of `benchmarks.training`: our engine as a stage runs it, and `transformers` in a plain PyTorch loop."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import Reporting, Turn
from components.core import params
from components.model.config import ModelConfig
from components.model.transformer import Transformer
from components.training.data.batches import Batch
from components.training.engine.loop import Job, train
from components.training.settings import Optimization

LENGTH = 256  # tokens
ROWS = 16  # of a step: 4,096 tokens
FOREVER = 1_000_000


@dataclass(frozen=True)
class Size:
    """A decoder of a certain number of weights; heads are 64 wide, each with its own keys and values."""

    vocab_size: int
    hidden_size: int
    num_layers: int
    intermediate_size: int

    def config(self) -> ModelConfig:
        """The size as our model configuration."""
        heads = self.hidden_size // 64
        return ModelConfig(
            architecture="decoder", vocab_size=self.vocab_size, labels=(), hidden_size=self.hidden_size,
            num_layers=self.num_layers, num_heads=heads, num_kv_heads=heads, head_dim=64,
            intermediate_size=self.intermediate_size, max_sequence_length=LENGTH, positions="rotary",
            rope_theta=10_000.0, norm="rms", norm_position="pre", norm_eps=1e-6, activation="swiglu", qk_norm=True,
            tie_embeddings=False, logit_soft_cap=None,
        )  # fmt: skip


SIZES = {
    "1M": Size(vocab_size=1024, hidden_size=128, num_layers=4, intermediate_size=352),
    "6.8M": Size(vocab_size=4096, hidden_size=256, num_layers=6, intermediate_size=688),
    "20M": Size(vocab_size=4096, hidden_size=384, num_layers=10, intermediate_size=1024),
}


def rows(places: np.ndarray, vocab_size: int) -> Batch:
    """Random tokens, the same for the same place: their values make no difference to the speed."""
    drawn = [np.random.default_rng((1, place)).integers(vocab_size, size=LENGTH + 1) for place in places.tolist()]
    windows = torch.from_numpy(np.stack(drawn))
    return Batch(windows[:, :-1], windows[:, 1:])


def ours(turn: Turn, size: Size, optimizer: str, steps: int) -> None:
    """Our engine with the settings of `params.yaml`; a turn has `steps` steps."""
    model = Transformer(size.config())
    model.initialize(torch.Generator().manual_seed(1), zero_projections=False)
    run(model, lambda places: rows(places, size.vocab_size), settings(optimizer, steps), lambda *_: turn())


def settings(optimizer: str, log_every: int) -> Optimization:
    """The settings of `params.yaml`, without validations and checkpoints during training."""
    given: dict[str, Any] = params.load(params.PARAMS)["pretrain"]["optimization"] | {
        "steps": FOREVER, "batch_size": ROWS, "micro_batch_size": ROWS, "optimizer": optimizer,
        "log_every": log_every, "validate_every": FOREVER, "checkpoint_every": FOREVER,
    }  # fmt: skip
    return params.parse(given, Optimization, "pretrain.optimization")


def run(
    model: Transformer,
    rows: Callable[[np.ndarray], Batch],
    settings: Optimization,
    report: Callable[[int, dict[str, float]], None],
    validate: Callable[[Transformer], dict[str, float]] = lambda _: {},
) -> None:
    """Train as a stage does, without leaving anything behind."""
    with tempfile.TemporaryDirectory() as folder:
        train(
            Job(
                stage="benchmark", model=model, rows=rows, validate=validate, settings=settings, parallel="ddp",
                checkpoints=Path(folder), made_from={},
            ),
            Reporting(report),
        )  # fmt: skip


def qwen3(turn: Turn, size: Size, bf16: bool, compiled: bool, steps: int) -> None:
    """The same model in `transformers`, with the fused AdamW, in a plain training loop."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    heads = size.hidden_size // 64
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=size.vocab_size, hidden_size=size.hidden_size, intermediate_size=size.intermediate_size,
            num_hidden_layers=size.num_layers, num_attention_heads=heads, num_key_value_heads=heads, head_dim=64,
            max_position_embeddings=LENGTH, tie_word_embeddings=False, use_cache=False,
        )
    )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def loss_of(tokens_BT: Tensor, targets_BT: Tensor) -> Tensor:
        logits = model(input_ids=tokens_BT).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), targets_BT.flatten())

    function = torch.compile(loss_of) if compiled else loss_of
    for step in range(FOREVER):
        batch = rows(np.arange(step * ROWS, (step + 1) * ROWS), size.vocab_size)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = function(batch.tokens_BT, batch.targets_BT)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % steps == 0:
            turn()
