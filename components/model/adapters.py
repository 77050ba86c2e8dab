"""Adapters as folders that PEFT loads: `adapter_config.json` and `adapter_model.safetensors`.

https://huggingface.co/docs/peft/developer_guides/checkpoint
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from components.core.errors import BadData
from components.core.files import read_json, write_json
from components.model import formats, lora
from components.model.folder import ADAPTER, ADAPTER_CONFIG, BASE_DIGEST, weights_digest
from components.model.interface import LanguageModel
from components.model.lora_settings import Lora
from components.model.transformer import Transformer

_PREFIX = "base_model.model."  # of PEFT's names
_TASKS = {"decoder": "CAUSAL_LM", "encoder_decoder": "SEQ_2_SEQ_LM"}
_LABELS = "TOKEN_CLS"
# What our adapters do not have; a newer setting of PEFT that adds weights is found by their names.
_FIXED = {
    "peft_type": "LORA",
    "bias": "none",
    "use_rslora": False,
    "use_dora": False,
    "rank_pattern": {},
    "alpha_pattern": {},
}


def write(model: LanguageModel, settings: Lora, base: Path, folder: Path) -> None:
    """Write the adapters of a model (fp32), and of a model with labels its head; they name `base`, with its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().contiguous() for name, tensor in _tensors(model).items()}
    save_file(tensors, folder / ADAPTER, metadata={"format": "pt", BASE_DIGEST: weights_digest(base)})
    write_json(folder / ADAPTER_CONFIG, _config(model, settings, base))


def merge(model: LanguageModel, folder: Path) -> None:
    """Put the adapter of a folder into the matrices of its base, in place, in fp32.

    Raises `BadData` for an adapter with more than LoRA's two matrices, or of other modules.
    """
    content = read_json(folder / ADAPTER_CONFIG)
    for name, value in _FIXED.items():
        if content.get(name, value) != value:
            raise BadData(f"{folder} holds an adapter with {name} = {content[name]!r}, which is not supported")
    tensors = load_file(folder / ADAPTER)
    several = [part for each in lora.parts(model).values() for part in each]
    targets = {part.name for part in several if f"{_PREFIX}{part.path}.lora_A.weight" in tensors}
    settings = Lora(rank=content["r"], alpha=content["lora_alpha"], targets=tuple(targets), register="adapter")
    lora.attach(model, settings, seed=0)
    own = _tensors(model)
    if odd := sorted(tensors.keys() ^ own.keys()):
        raise BadData(f"{folder / ADAPTER} has {odd[0]} too many or too few ({len(odd)} such) for its base")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
    lora.merge(model)
    model.requires_grad_(True)


def _tensors(model: LanguageModel) -> dict[str, Tensor]:
    """The matrices of all adapters, and the head for labels, under their names in PEFT; not copies."""
    return {f"{_PREFIX}{name}": tensor for name, tensor in (_matrices(model) | _head(model)).items()}


def _matrices(model: LanguageModel) -> dict[str, Tensor]:
    """The matrices of all adapters, beside the paths of their parts in `transformers`."""
    found: dict[str, Tensor] = {}
    for _, layer in lora.adapted_layers(model):
        for part in layer.parts:
            if (adapter := layer.adapter(part)) is not None:
                found |= {f"{part.path}.{name}.weight": matrix for name, matrix in adapter.named_parameters()}
    return found


def _head(model: LanguageModel) -> dict[str, Tensor]:
    """The head for labels under its names in `transformers`, as the base has none; with what else it has there."""
    found = lora.head(model)
    if found and isinstance(model, Transformer) and (form := formats.of(model.config)) is not None:
        found |= form.constants(model.config)
    return found


def _config(model: LanguageModel, settings: Lora, base: Path) -> dict[str, object]:
    config = model.config
    return {
        **_FIXED,
        "base_model_name_or_path": str(base),
        "task_type": _LABELS if config.labels else _TASKS.get(config.architecture),
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": 0.0,
        "fan_in_fan_out": any(lora.is_transposed(layer.base) for _, layer in lora.adapted_layers(model)),
        "target_modules": _target_modules(model),
        "modules_to_save": sorted({name.partition(".")[0] for name in _head(model)}) or None,
        "inference_mode": True,
    }


def _target_modules(model: LanguageModel) -> list[str]:
    """The targets; in full where PEFT would take a module outside of the layers, such as of the head, for one too."""
    parts = [part for _, layer in lora.adapted_layers(model) for part in layer.parts if layer.adapter(part)]
    elsewhere = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return sorted({part.path if part.name in elsewhere else part.name for part in parts})
