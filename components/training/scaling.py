"""From the size of a model to its training steps, batch size and learning rate, which `params.yaml` may leave out.

- tokens: 12 for each weight of the matrices and the head, about what nanochat measured to be the best use of compute
  with Muon (https://github.com/karpathy/nanochat); Chinchilla had 20 with AdamW (https://arxiv.org/abs/2203.15556).
- batch: grows with the tokens to the power of 0.383 (https://arxiv.org/abs/2505.13738), from 2^19 tokens at the length
  of a run of 12 layers; a power of two.
- learning rate: falls with the width (muP, https://arxiv.org/abs/2203.03466), from 6e-3 at 256, where it was measured.
"""

import math
from dataclasses import asdict

from components.model.interface import LanguageModel
from components.training.settings import Optimization, PartialOptimization

TOKENS_PER_WEIGHT = 12
BATCH_EXPONENT = 0.383
REFERENCE_BATCH = 2**19  # tokens
REFERENCE_TOKENS = 1.3e9  # 12 per weight of the matrices and the head, 12 layers of 768 wide and 32,768 entries
REFERENCE_RATE, REFERENCE_WIDTH = 6e-3, 256


def resolve(settings: PartialOptimization, model: LanguageModel, length: int) -> Optimization:
    """The settings with all values filled in, for windows of `length` tokens."""
    tokens = TOKENS_PER_WEIGHT * model.multiplied_weights()
    batch_size = settings.batch_size or max(settings.micro_batch_size, _power_of_two(_batch(tokens) / length))
    return Optimization(
        **asdict(settings)
        | {
            "steps": settings.steps or max(1, round(tokens / (batch_size * length))),
            "batch_size": batch_size,
            "learning_rate": settings.learning_rate or REFERENCE_RATE * REFERENCE_WIDTH / model.config.hidden_size,
        }
    )


def _batch(tokens: float) -> float:
    """Tokens per step."""
    return float(REFERENCE_BATCH * (tokens / REFERENCE_TOKENS) ** BATCH_EXPONENT)


def _power_of_two(size: float) -> int:
    return int(2 ** round(math.log2(max(1.0, size))))
