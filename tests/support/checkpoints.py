"""Small checkpoints as others leave them: `transformers` writes the model, `tokenizers` the tokenizer."""

from pathlib import Path

import torch
import transformers

from components.tokenizer.tokenizer import Tokenizer
from tests.components.support import kinds

WINDOW = 160
KINDS = {"llama": ("qwen", "AutoModelForCausalLM"), "bert": ("bert", "AutoModelForMaskedLM")}
"""The tokenizer of each model type, and the class that writes it."""


def write(kind: str, folder: Path) -> Path:
    """Write a checkpoint of a model type with random weights, the same every time, and return its folder."""
    tokenizer, written_by = KINDS[kind]
    kinds.write(tokenizer, folder)
    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=Tokenizer.load(folder).vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=WINDOW,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        getattr(transformers, written_by).from_config(config).save_pretrained(folder)
    return folder
