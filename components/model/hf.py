"""Models as folders that `transformers` loads: `config.json` and `model.safetensors`, export and import.

A model that fits a format of `transformers` is written in that format (`hf_formats.py`); any other under our own
names, with the model type `lmforge`.
docs/decisions.md, "Forms of `transformers` by table"
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.core.errors import BadData
from components.model import hf_formats
from components.model.config import ModelConfig
from components.model.transformer import Transformer

OURS = "lmforge"


def save(model: Transformer, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` (fp32)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(write_config(model.config), indent=2) + "\n")
    save_file(state_dict(model), folder / "model.safetensors", metadata={"format": "pt"})


def load(folder: Path) -> Transformer:
    """The model of a folder, in fp32 on the CPU, in evaluation mode.

    Raises `BadData` when there is no such folder, or its model has an unsupported format.
    """
    if not (folder / "config.json").exists():
        raise BadData(f"{folder} holds no config.json: it is no model folder")
    content = json.loads((folder / "config.json").read_text())
    model = Transformer(read_config(content, str(folder)))
    weights: dict[str, Tensor] = {}
    for part in sorted(folder.glob("*.safetensors")):  # large models come in several
        weights |= load_file(part)
    form = hf_formats.BY_TYPE.get(content["model_type"])
    names = form.names(model.config) if form else {name: (name,) for name, _ in model.named_parameters()}
    missing = {name for theirs in names.values() for name in theirs} - weights.keys()
    if missing:
        raise BadData(f"the weights in {folder} lack {min(missing)} and {len(missing) - 1} more")
    model.load_state_dict(
        {ours: torch.cat([weights[name].float() for name in theirs]) for ours, theirs in names.items()},
        strict=False,  # a tied head is the embedding
    )
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


def read_config(content: dict[str, object], where: str) -> ModelConfig:
    """The sizes in a `config.json`. Raises `BadData` for an unsupported format."""
    kind = content.get("model_type")
    if kind == OURS:
        sizes = {name: value for name, value in content.items() if name != "model_type"}
        tuples = {name: tuple(value) for name, value in sizes.items() if isinstance(value, list)}
        return ModelConfig(**sizes | tuples)  # type: ignore[arg-type]
    if kind not in hf_formats.BY_TYPE:
        known = ", ".join(sorted(hf_formats.BY_TYPE))
        raise BadData(f"{where} holds a model of the type {kind!r}: take one of {known}")
    try:
        return hf_formats.BY_TYPE[str(kind)].read(content)
    except hf_formats.Unknown as error:
        raise BadData(f"{where} holds a {kind} with {error}, which is not supported") from None
