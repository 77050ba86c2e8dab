"""Models as folders that `transformers` loads: `config.json` and `model.safetensors`, export and import.

A model that fits a format of `transformers` is written in that format (`formats`), an imported one in that of its
family; any other under our own names, with the model type `lmforge`. A checkpoint that our layers cannot represent
exactly runs as the module of `transformers`, and is written by it (`hf_loading.py`).
docs/decisions.md, "Forms of `transformers` by table"
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.core.errors import BadData
from components.model import adapters, formats, hf_classes, hf_loading
from components.model.config import Config, ModelConfig, Traits
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
    config = _own_config(content, folder)
    if config is None:
        return hf_loading.load(folder)
    model, form = Transformer(config), formats.BY_TYPE.get(str(content["model_type"]))
    weights = _read(folder)
    found = _ours(model, weights, _names(model, form), folder)
    if form is not None:
        _check_rest(weights, form, model.config, folder)
        found = {name: form.ours(model.config, name, weight) for name, weight in found.items()}
    model.load_state_dict(found, strict=False)  # a tied head is the embedding
    return model.eval()


def _read(folder: Path) -> dict[str, Tensor]:
    """All weights of a folder, whose files an index names when there are several."""
    index = folder / "model.safetensors.index.json"
    if index.exists():
        parts = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    else:
        parts = ["model.safetensors"]
    weights: dict[str, Tensor] = {}
    for part in parts:
        if not (folder / part).exists():
            raise BadData(
                f"{folder} holds no {part}: a model is read from safetensors alone, and needs all of its files"
            )
        weights |= load_file(folder / part)
    return weights


def _names(model: Transformer, form: formats.Form | None) -> formats.Names:
    return form.names(model.config) if form else {name: (name,) for name, _ in model.named_parameters()}


def _ours(model: Transformer, weights: dict[str, Tensor], names: formats.Names, folder: Path) -> dict[str, Tensor]:
    """The weights under our names, in fp32. Raises `BadData` when one is missing or has another shape."""
    missing = {name for theirs in names.values() for name in theirs} - weights.keys()
    if missing:
        raise BadData(f"the weights in {folder} lack {min(missing)} and {len(missing) - 1} more")
    found = {ours: torch.cat([weights[name].float() for name in theirs]) for ours, theirs in names.items()}
    for name, weight in model.named_parameters():
        if name in found and found[name].shape != weight.shape:
            shapes = f"{list(found[name].shape)}, not {list(weight.shape)}"
            raise BadData(
                f"the weights {', '.join(names[name])} in {folder} have the shape {shapes} of its config.json"
            )
    return found


def _check_rest(weights: dict[str, Tensor], form: formats.Form, config: ModelConfig, folder: Path) -> None:
    """Raise `BadData` for weights that the model has and ours would not: it would compute something else."""
    known = {name for theirs in form.names(config).values() for name in theirs}
    constants, copies = form.constants(config), form.copies(config)
    for name in sorted(weights.keys() - known):
        expected = constants.get(name) if name in constants else weights.get(copies.get(name, ""))
        same = expected is not None and torch.equal(expected.float(), weights[name].float())
        if not same and not name.endswith(tuple(form.computed)):
            raise BadData(f"the weights in {folder} have {name}, which its config.json does not account for")


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
    form = formats.of(model.config)
    if form is None:
        return ours
    weights: dict[str, Tensor] = {}
    for name, theirs in form.names(model.config).items():
        weight = form.theirs(model.config, name, ours[name])
        parts = torch.split(weight, formats.rows(len(theirs), model.config, len(weight)))
        weights |= zip(theirs, (part.contiguous() for part in parts), strict=True)
    return weights | form.constants(model.config)


def write_config(config: ModelConfig) -> dict[str, object]:
    """The `config.json` of a model."""
    form = formats.of(config)
    if form is not None:
        return form.write(config)
    assert config.traits == Traits(), "a model with traits of a family is written as one of it"
    return {"model_type": OURS, **{name: value for name, value in asdict(config).items() if name != "traits"}}


def read_config(folder: Path) -> Config:
    """The sizes of the model of a folder. Raises `BadData` when neither we nor `transformers` can run it."""
    return _own_config(_content(folder), folder) or hf_classes.read(_content(folder), folder)


def runs_in_transformers(folder: Path) -> bool:
    """Whether the model of a folder is computed by `transformers`, and not by our own layers."""
    return _own_config(_content(folder), folder) is None


def _content(folder: Path) -> dict[str, object]:
    if not (folder / "config.json").exists():
        raise BadData(f"{folder} holds no config.json: it is no model folder")
    content: dict[str, object] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return content


def _own_config(content: dict[str, object], folder: Path) -> ModelConfig | None:
    """The sizes in a `config.json`, if our layers represent the model exactly.

    Raises `BadData` for a setting that would be silently left out.
    """
    kind = content.get("model_type")
    if kind == OURS:
        sizes = {name: value for name, value in content.items() if name != "model_type"}
        tuples = {name: tuple(value) for name, value in sizes.items() if isinstance(value, list)}
        return ModelConfig(**sizes | tuples)  # type: ignore[arg-type]
    if kind not in formats.BY_TYPE:
        return None
    try:
        return formats.read(content, str(kind))
    except formats.Unknown:
        return None
    except formats.Unread as error:
        raise BadData(f"{folder} holds a {kind} with {error}, which such models do not have: remove the key") from None
