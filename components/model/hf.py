"""Models as folders that `transformers` loads: `config.json` and `model.safetensors`, export and import.

A model that fits a format of `transformers` is written in that format (`hf_formats.py`); any other under our own
names, with the model type `lmforge`. A checkpoint that our layers cannot represent exactly runs as the module of
`transformers`, and is written by it (`hf_loading.py`).
docs/decisions.md, "Forms of `transformers` by table"
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.core.errors import BadData
from components.model import adapters, hf_classes, hf_formats, hf_loading
from components.model.config import Config, ModelConfig
from components.model.folder import base, is_adapter
from components.model.hf_module import HfModule
from components.model.interface import LanguageModel
from components.model.transformer import Transformer

OURS = "lmforge"


def save(model: LanguageModel, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` (fp32)."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(model, HfModule):
        hf_loading.save(model, folder)
        return
    assert isinstance(model, Transformer)
    save_config(model, folder)
    save_file(state_dict(model), folder / "model.safetensors", metadata={"format": "pt"})


def save_config(model: LanguageModel, folder: Path) -> None:
    """Write `config.json` alone."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(model, HfModule):
        hf_loading.save_config(model, folder)
        return
    assert isinstance(model, Transformer)
    (folder / "config.json").write_text(json.dumps(write_config(model.config), indent=2) + "\n")


def load(folder: Path) -> LanguageModel:
    """The model of a folder, in fp32 on the CPU, in evaluation mode; an adapter is merged into its base.

    Raises `BadData` when there is no such folder, neither we nor `transformers` can run its model, or the base of an
    adapter is not the one that it was trained on.
    """
    if is_adapter(folder):
        return _adapted(folder)
    content = _content(folder)
    config = _own_config(content)
    if config is None:
        return hf_loading.load(folder)
    model = Transformer(config)
    weights: dict[str, Tensor] = {}
    for part in sorted(folder.glob("*.safetensors")):  # large models come in several
        weights |= load_file(part)
    form = hf_formats.BY_TYPE.get(str(content["model_type"]))
    names = form.names(model.config) if form else {name: (name,) for name, _ in model.named_parameters()}
    missing = {name for theirs in names.values() for name in theirs} - weights.keys()
    if missing:
        raise BadData(f"the weights in {folder} lack {min(missing)} and {len(missing) - 1} more")
    model.load_state_dict(
        {ours: torch.cat([weights[name].float() for name in theirs]) for ours, theirs in names.items()},
        strict=False,  # a tied head is the embedding
    )
    return model.eval()


def _adapted(folder: Path) -> LanguageModel:
    """The base of an adapter with the adapter in its matrices; with the window and the labels of the adapter."""
    model, config = load(base(folder)), read_config(folder)
    if config.labels != model.config.labels:
        model = model.labelled(config.labels, seed=0)
    if config.max_sequence_length != model.config.max_sequence_length:
        model = model.resized(model.config.vocab_size, config.max_sequence_length)
    adapters.merge(model, folder)
    return model.eval()


def state_dict(model: Transformer) -> dict[str, Tensor]:
    """The weights under the names of `transformers`, or under ours."""
    ours = {name: weight.detach() for name, weight in model.named_parameters()}
    form = hf_formats.of(model.config)
    if form is None:
        return ours
    weights: dict[str, Tensor] = {}
    for name, theirs in form.names(model.config).items():
        parts = torch.split(ours[name], hf_formats.rows(len(theirs), model.config, len(ours[name])))
        weights |= zip(theirs, (part.contiguous() for part in parts), strict=True)
    return weights | form.constants(model.config)


def write_config(config: ModelConfig) -> dict[str, object]:
    """The `config.json` of a model."""
    form = hf_formats.of(config)
    return {"model_type": OURS, **asdict(config)} if form is None else form.write(config)


def read_config(folder: Path) -> Config:
    """The sizes of the model of a folder. Raises `BadData` when neither we nor `transformers` can run it."""
    return _own_config(_content(folder)) or hf_classes.read(_content(folder), folder)


def runs_in_transformers(folder: Path) -> bool:
    """Whether the model of a folder is computed by `transformers`, and not by our own layers."""
    return _own_config(_content(folder)) is None


def _content(folder: Path) -> dict[str, object]:
    if not (folder / "config.json").exists():
        raise BadData(f"{folder} holds no config.json: it is no model folder")
    content: dict[str, object] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return content


def _own_config(content: dict[str, object]) -> ModelConfig | None:
    """The sizes in a `config.json`, if our layers represent the model exactly."""
    kind = content.get("model_type")
    if kind == OURS:
        sizes = {name: value for name, value in content.items() if name != "model_type"}
        tuples = {name: tuple(value) for name, value in sizes.items() if isinstance(value, list)}
        return ModelConfig(**sizes | tuples)  # type: ignore[arg-type]
    try:
        return hf_formats.BY_TYPE[str(kind)].read(content)
    except (KeyError, hf_formats.Unknown):
        return None
