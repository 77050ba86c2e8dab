"""Folders of `transformers` whose models run as its own modules: import and export."""

import json
from pathlib import Path

import torch

from components.core.errors import BadData
from components.model import hf_classes
from components.model.hf_classes import ModuleConfig
from components.model.hf_module import HfModule


def load(folder: Path) -> HfModule:
    """The model of a folder, in fp32 on the CPU. Code that a folder brings is never run, and nothing is unpickled.

    Raises `BadData` when `transformers` does not know the model, or its weights are not all there.
    """
    config = hf_classes.read(json.loads((folder / "config.json").read_text(encoding="utf-8")), folder)
    loader = hf_classes.auto_class(config.architecture, config.head)
    _refuse_pickles(folder, loader.__name__)
    _be_quiet()
    try:
        module, found = loader.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise BadData(f"transformers cannot load {folder}: {str(error).splitlines()[0]}") from None
    if lacking := sorted(found["missing_keys"]):
        raise BadData(f"the weights in {folder} lack {lacking[0]} and {len(lacking) - 1} more")
    return HfModule(module, config)


def save(model: HfModule, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` (fp32), as `transformers` does."""
    _be_quiet()
    model.module.save_pretrained(folder, max_shard_size="100TB")
    (folder / "generation_config.json").unlink(missing_ok=True)  # the package has its own


def save_config(model: HfModule, folder: Path) -> None:
    """Write `config.json` alone."""
    model.module.config.architectures = [type(model.module).__name__]
    model.module.config.save_pretrained(folder)


def skeleton(config: ModuleConfig) -> HfModule:
    """A model without weights, for its sizes."""
    return HfModule(hf_classes.skeleton(config.content, config.architecture, config.head), config)


def _refuse_pickles(folder: Path, loader: str) -> None:
    pickled = next(iter(sorted(folder.glob("*.bin"))), None)
    if pickled is not None and not any(folder.glob("*.safetensors")):
        raise BadData(
            f"{folder} holds its weights as {pickled.name}, a pickle, which can run code and is never opened: "
            f"convert it where you trust it, in Python: transformers.{loader}.from_pretrained({str(folder)!r})"
            f".save_pretrained({str(folder)!r})"
        )


def _be_quiet() -> None:
    """No progress bars and warnings: what matters of them is checked here."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
