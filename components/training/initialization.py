"""The model that training begins with: random weights, an imported one (Qwen3, Llama, EuroBERT, Marian), a new head."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from components.core.errors import BadData, BadSettings
from components.model import hf
from components.model.config import ModelConfig
from components.model.transformer import Transformer
from components.training.settings import PinnedModel, Pretrain


def random(settings: Pretrain, vocab_size: int) -> Transformer:
    """A new model with random weights."""
    model = Transformer(settings.model.build(vocab_size, settings.sequence_length))
    generator = torch.Generator().manual_seed(settings.optimization.seed)
    model.initialize(generator, zero_projections=settings.zero_projections)
    return model


def imported(checkpoint: PinnedModel, settings: Pretrain, tokenizer: Path, vocab_size: int) -> Transformer:
    """The model of a pinned folder, with a row in its tables for each token, and the window of the settings.

    Raises `BadData` when the folder holds other weights than the pinned ones, or no supported model, and `BadSettings`
    when its tokenizer, architecture or window differs from the settings.
    """
    folder = Path(checkpoint.folder)
    found = digest(folder)
    if found != checkpoint.sha256:
        raise BadData(f"the weights in {folder} have the sha256 {found}, not {checkpoint.sha256} of pretrain.start")
    if _vocabulary(folder) != _vocabulary(tokenizer):
        raise BadSettings(f"tokenizer.start.file has to be {folder}/tokenizer.json: the model knows no other tokens")
    model = hf.load(folder)
    config = model.config
    if config.architecture != settings.model.architecture:
        wanted = settings.model.architecture
        raise BadSettings(f"pretrain.model.architecture is {wanted}, but {folder} holds a {config.architecture}")
    if config.positions == "learned" and config.max_sequence_length != settings.sequence_length:
        window = config.max_sequence_length
        raise BadSettings(f"pretrain.sequence_length has to be {window}: {folder} has learned its positions")
    size = max(vocab_size, config.vocab_size)
    return _with_sizes(model, replace(config, vocab_size=size, max_sequence_length=settings.sequence_length))


def labelled(model: Transformer, labels: Sequence[str], seed: int) -> Transformer:
    """An encoder with a new, randomly initialized head for labels."""
    changed = Transformer(replace(model.config, labels=tuple(labels)))
    kept = {name: weight for name, weight in model.state_dict().items() if not name.startswith("head.")}
    changed.load_state_dict(kept, strict=False)
    nn.init.normal_(changed.head.weight, std=0.02, generator=torch.Generator().manual_seed(seed))
    return changed


def digest(folder: Path) -> str:
    """The sha256 of the weights in a folder, its files concatenated by name. Raises `BadData` when there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BadData(f"{folder} holds no *.safetensors: pretrain.start.folder has to be a model folder")
    total = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            while piece := content.read(1 << 24):
                total.update(piece)
    return total.hexdigest()


def _vocabulary(folder: Path) -> object:
    return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]


def _with_sizes(model: Transformer, config: ModelConfig) -> Transformer:
    """The model with more rows in its tables: a new token starts as the mean of the others, so that none stands out."""
    changed, weights = Transformer(config), model.state_dict()
    for name, table in weights.items():
        if name in ("embedding.weight", "head.weight"):
            extra = table.mean(0, keepdim=True).expand(config.vocab_size - len(table), -1)
            weights[name] = torch.cat([table, extra])
    changed.load_state_dict(weights)
    return changed
