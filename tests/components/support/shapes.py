"""Small models of every shape."""

import torch

from components.model.config import ModelConfig, ModelSettings
from components.model.transformer import Transformer

VOCAB_SIZE = 97
LENGTH = 32  # tokens of a window

SETTINGS = {
    "architecture": "decoder", "depth": 2, "positions": "rotary", "rope_theta": 1e4, "norm": "rms",
    "norm_position": "pre", "norm_eps": 1e-6, "activation": "swiglu", "qk_norm": True, "tie_embeddings": True,
    "hidden_size": 64,
}  # fmt: skip

# As GPT, BERT and T5 come by default, GPT with n-grams, and the original Transformer to the letter.
DECODER = {"num_heads": 4, "num_kv_heads": 2, "head_dim": 16}
ENCODER = DECODER | {"architecture": "encoder", "qk_norm": False}
ENCODER_DECODER = DECODER | {"architecture": "encoder_decoder"}
ORIGINAL = {
    "architecture": "encoder_decoder", "positions": "sinusoidal", "norm": "layer", "norm_position": "post",
    "norm_eps": 1e-5, "activation": "relu", "qk_norm": False, "num_heads": 4, "num_kv_heads": 4, "head_dim": 16,
}  # fmt: skip
NGRAMS = DECODER | {"ngram_rows": (50, 40)}
ALL = {
    "decoder": DECODER, "ngrams": NGRAMS, "encoder": ENCODER, "encoder_decoder": ENCODER_DECODER, "original": ORIGINAL,
}  # fmt: skip


def settings(**changes: object) -> ModelSettings:
    """Settings of a decoder, some of them changed."""
    return ModelSettings(**(SETTINGS | changes))  # type: ignore[arg-type]


def config(**changes: object) -> ModelConfig:
    """The sizes that follow."""
    return settings(**changes).build(VOCAB_SIZE, LENGTH)


def model(shape: ModelConfig, seed: int = 0) -> Transformer:
    """A model with weights larger than at the start, so that every part shows in the logits."""
    made = Transformer(shape)
    generator = torch.Generator().manual_seed(seed)
    made.initialize(generator, zero_projections=False)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim == 2:
                weight.mul_(4)
            else:
                weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.1)
    return made.eval()


def tokens(rows: int = 2, length: int = LENGTH, seed: int = 1) -> torch.Tensor:
    """Random ids, [rows, length]."""
    return torch.randint(0, VOCAB_SIZE, (rows, length), generator=torch.Generator().manual_seed(seed))
