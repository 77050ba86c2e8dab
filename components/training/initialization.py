"""The model that training begins with: random weights, those of a champion, or an imported one."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from components.core import params, start
from components.core.errors import BadData, BadSettings
from components.core.files import read_json, sha256
from components.model import hf, lora
from components.model.interface import LanguageModel
from components.model.lora_settings import Lora
from components.model.transformer import Transformer
from components.tokenizer import vocabulary
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
    if vocabulary.digest(folder) != vocabulary.digest(tokenizer):
        raise BadSettings(f"tokenizer.start.file has to be {folder}/tokenizer.json: the model knows no other tokens")
    model = hf.load(folder)
    if model.config.architecture != settings.model.architecture:
        wanted, found = settings.model.architecture, model.config.architecture
        raise BadSettings(f"pretrain.model.architecture is {wanted}, but {folder} holds a {found}")
    return model.resized(max(vocab_size, model.config.vocab_size), settings.sequence_length)


def continued(settings: Pretrain, vocab_size: int) -> LanguageModel:
    """The base model of the pinned version. Raises `BadSettings` when the settings ask for another one.

    A model that was imported at the beginning of the chain has the sizes that it came with.
    """
    pinned = _pinned("pretrain", start.BASE)
    model = hf.load(start.BASE)
    wanted = settings.model.build(vocab_size, settings.sequence_length)
    names = ("architecture", "max_sequence_length") if origin(settings) else asdict(wanted)
    for name in names:
        asked, found = getattr(wanted, name), getattr(model.config, name)
        if asked != found:
            raise BadSettings(
                f"params.yaml: pretrain asks for a model with {name} {asked}, but {pinned} has {found}: "
                "set it back, or take pretrain.start out to train from zero"
            )
    return model


def origin(settings: Pretrain) -> dict[str, object]:
    """What `training.json` says of the model that was imported at the beginning of the chain, if one was."""
    if isinstance(settings.start, PinnedModel):
        return {"imported": settings.start.sha256}
    facts = read_json(start.BASE / "training.json") if settings.start else {}
    return {name: value for name, value in facts.items() if name == "imported"}


def transferred(model: LanguageModel, recipe: str) -> LanguageModel:
    """The model with what fine-tuning added to the base of the pinned version (https://arxiv.org/abs/2503.20110).

    Raises `BadSettings` when that version has no fine-tuned model of this recipe, or one with a head for labels.
    docs/decisions.md, "Fine-tuning goes on, too"
    """
    pinned = _pinned(f"finetune.{recipe}", start.FINETUNED / recipe)
    tuned, before = hf.load(start.FINETUNED / recipe), hf.load(start.BASE)
    if tuned.config != model.config or before.config != model.config:
        raise BadSettings(f"params.yaml: finetune.{recipe}.start: the model of {pinned} has another form: take it out")
    with torch.no_grad():
        for weight, after, base in zip(*(each.parameters() for each in (model, tuned, before)), strict=True):
            weight += after - base
    return model


def adapt(model: LanguageModel, settings: Lora, seed: int) -> None:
    """Freeze a model in place, and attach new adapters to it.

    Raises `BadSettings` when it has no such target, or one too small for the rank.
    """
    known = lora.targets(model)
    for target in () if settings.targets == "all" else settings.targets:
        if target not in known:
            raise BadSettings(f"params.yaml: lora.targets: {target}: {params.suggest(target, known)}")
    lora.attach(model, settings, seed)


def digest(folder: Path) -> str:
    """The sha256 of the weights in a folder, its files concatenated by name. Raises `BadData` when there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise BadData(f"{folder} holds no *.safetensors: pretrain.start.folder has to be a model folder")
    return sha256(*files)


def _pinned(section: str, folder: Path) -> start.Start:
    """The pinned version. Raises `BadSettings` when `folder` with what is needed of it is not there."""
    pinned = start.in_place()
    if pinned is None or not folder.exists():
        raise BadSettings(
            f"params.yaml: {section}.start is champion, but {start.PIN} pins none of its weights: "
            "`lmforge start` pins the champion, and `lmforge run` does so by itself"
        )
    return pinned


def _vocabulary(folder: Path) -> object:
    return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
