"""Models with adapters, as if they were trained."""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from components.model import adapters, hf, lora
from components.model.config import ModelConfig
from components.model.folder import weights_digest
from components.model.interface import LanguageModel
from components.model.lora_settings import Lora
from components.model.transformer import Transformer
from tests.components.support import shapes

SETTINGS = Lora(rank=3, alpha=12.0, targets="all", register="adapter")


def randomize(model: LanguageModel) -> None:
    """As if the adapters were trained."""
    generator = torch.Generator().manual_seed(7)
    for name, weight in model.named_parameters():
        if name.endswith("lora_B"):
            torch.nn.init.normal_(weight, std=0.1, generator=generator)


def make(folder: Path, base: ModelConfig, settings: Lora = SETTINGS, **changes: object) -> Transformer:
    """A model with adapters, and the folders `base` and `adapter`; its configuration is the base's with changes."""
    hf.save(shapes.model(base), folder / "base")
    model, weights = Transformer(replace(base, **changes)), hf.load(folder / "base").state_dict()  # type: ignore[arg-type]
    if model.config.labels:
        del weights["head.weight"]
    model.load_state_dict(weights, strict=False)
    lora.attach(model, settings, seed=1)
    randomize(model)
    hf.save_config(model, folder / "adapter")
    adapters.write(model, settings, folder / "base", folder / "adapter")
    return model.eval()


def write(config: ModelConfig, base: Path, folder: Path) -> dict[str, object]:
    """Write a base and an adapter of it; returns what `training.json` tells of it."""
    model = shapes.model(config)
    hf.save(model, base)
    lora.attach(model, SETTINGS, seed=1)
    randomize(model)
    hf.save_config(model, folder)
    adapters.write(model, SETTINGS, base, folder)
    return {"lora": asdict(SETTINGS), "base": {"folder": str(base), "sha256": weights_digest(base)}}
