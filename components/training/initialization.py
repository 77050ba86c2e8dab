"""The model that training begins with: random weights, or an imported one."""

import hashlib
import json
from pathlib import Path

import torch

from components.core.errors import BadData, BadSettings
from components.model import hf
from components.model.interface import LanguageModel
from components.model.transformer import Transformer
from components.training.settings import PinnedModel, Pretrain


def random(settings: Pretrain, vocab_size: int) -> Transformer:
    """A new model with random weights."""
    model = Transformer(settings.model.build(vocab_size, settings.sequence_length))
    generator = torch.Generator().manual_seed(settings.optimization.seed)
    model.initialize(generator, zero_projections=settings.zero_projections)
    return model


def imported(checkpoint: PinnedModel, settings: Pretrain, tokenizer: Path, vocab_size: int) -> LanguageModel:
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
    if model.config.architecture != settings.model.architecture:
        wanted, found = settings.model.architecture, model.config.architecture
        raise BadSettings(f"pretrain.model.architecture is {wanted}, but {folder} holds a {found}")
    return model.resized(max(vocab_size, model.config.vocab_size), settings.sequence_length)


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
