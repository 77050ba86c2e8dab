"""Which class of `transformers` computes a `config.json`, and what our side has to know about it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import signature
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from components.core.errors import BadData, BadSettings
from components.model.config import Architecture, Config

Head = Literal["tokens", "labels", "none"]

# What the families call the table of learned positions, and the number of tokens that they read.
POSITIONS = ("position_embeddings", "embed_positions", "wpe", "position_embedding")
WINDOWS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
UNLIMITED = 10**9


@dataclass(frozen=True, kw_only=True)
class ModuleConfig(Config):
    """What the `config.json` of a module says, and the content itself."""

    head: Head  # none: an encoder without the head that it was pretrained with
    start: int | None  # the first token of the decoder of an encoder-decoder
    padding: int  # the id that stands for padding; some families count positions by it
    learned_positions: bool  # the window cannot grow
    content: Mapping[str, Any]

    @property
    def predicts_tokens(self) -> bool:
        return self.head == "tokens"

    def with_labels(self, labels: Sequence[str]) -> Self:
        """The same encoder with the family's head for labels. Raises `BadSettings` when it has none."""
        from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

        kind = self.content["model_type"]
        if kind not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES:
            raise BadSettings(f"transformers has no head for labels on a {kind}: take another base")
        numbers = {label: number for number, label in enumerate(labels)}
        content = {
            **self.content,
            "architectures": [MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES[kind]],
            "id2label": dict(enumerate(labels)),
            "label2id": numbers,
        }
        return replace(self, labels=tuple(labels), head="labels", content=content)

    @property
    def decoder_start(self) -> int | None:
        return self.start


def read(content: Mapping[str, Any], folder: Path) -> ModuleConfig:
    """What the `config.json` of a folder says; other files of it are read where it leaves something open.

    Raises `BadData` for a model that `transformers` cannot run on text.
    """
    kind, where = content.get("model_type"), str(folder)
    architecture, head = _kind(content, where)
    from huggingface_hub.errors import StrictDataclassError

    wrong = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
    try:
        module = skeleton(content, architecture, head)
    except (*wrong, StrictDataclassError) as error:
        line = " ".join(str(error).split())
        raise BadData(f"transformers cannot make the {kind} of {where}/config.json: {line}") from None
    theirs = module.config
    if theirs.get_text_config() is not theirs:
        raise BadData(f"{where} holds a {kind}, which reads more than text: it is not supported")
    if module._is_stateful or (architecture == "decoder" and "past_key_values" not in _takes(module)):
        raise BadData(f"{where} holds a {kind}, which has no keys and values to keep: it is not supported")
    learned = _learned_positions(module)
    window = learned or _first_number(theirs.to_dict(), WINDOWS) or _first_number(_json(folder, "tokenizer_config"))
    if not window:
        raise BadData(f"{where} does not say how many tokens it reads: set model_max_length in tokenizer_config.json")
    start = getattr(theirs, "decoder_start_token_id", None)
    return ModuleConfig(
        architecture=architecture,
        vocab_size=module.get_input_embeddings().num_embeddings,
        labels=tuple(theirs.id2label[number] for number in range(theirs.num_labels)) if head == "labels" else (),
        hidden_size=theirs.hidden_size,
        num_layers=theirs.num_hidden_layers,
        intermediate_size=max(max(weight.shape) for weight in matrices(module)),
        max_sequence_length=window,
        head=head,
        start=start if start is not None else _json(folder, "generation_config").get("decoder_start_token_id"),
        padding=theirs.pad_token_id if isinstance(theirs.pad_token_id, int) else 0,
        learned_positions=learned is not None,
        content=dict(content),
    )


def auto_class(architecture: Architecture, head: Head) -> Any:
    """The class of `transformers` that loads a model of this kind."""
    import transformers

    if head == "labels":
        return transformers.AutoModelForTokenClassification
    if head == "none":
        return transformers.AutoModel
    names = {"decoder": "AutoModelForCausalLM", "encoder": "AutoModelForMaskedLM"}
    return getattr(transformers, names.get(architecture, "AutoModelForSeq2SeqLM"))


def build(config: ModuleConfig) -> Any:
    """A module with random weights."""
    return auto_class(config.architecture, config.head).from_config(_parsed(config.content), dtype=torch.float32)


def skeleton(content: Mapping[str, Any], architecture: Architecture, head: Head) -> Any:
    """A module without weights."""
    with torch.device("meta"):
        return auto_class(architecture, head).from_config(_parsed(content), dtype=torch.float32)


def _kind(content: Mapping[str, Any], where: str) -> tuple[Architecture, Head]:
    """What a model is for, by the class that wrote it."""
    from transformers import __version__
    from transformers.models.auto import modeling_auto as auto

    kind, written_by = str(content.get("model_type")), next(iter(content.get("architectures") or ()), "")
    if content.get("is_encoder_decoder") and kind in auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES:
        return "encoder_decoder", "tokens"
    if written_by == auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES.get(kind, kind):
        return "encoder", "labels"
    causal = auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind)
    if kind in auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES and written_by != causal:
        return "encoder", "tokens" if written_by == auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES[kind] else "none"
    if causal:
        return "decoder", "tokens"
    raise BadData(
        f"{where} holds a model of the type {kind!r}, which transformers {__version__} does not run as a causal, "
        "masked, sequence-to-sequence or token-classification model: take one that it does"
    )


def _parsed(content: Mapping[str, Any]) -> Any:
    """The configuration as `transformers` reads it."""
    from transformers import CONFIG_MAPPING

    return CONFIG_MAPPING[content["model_type"]].from_dict(dict(content))


def _learned_positions(module: nn.Module) -> int | None:
    """The number of learned positions; those of RoBERTa begin after the id of padding. None: they are computed."""
    for name, table in module.named_modules():
        if isinstance(table, nn.Embedding) and name.rpartition(".")[2] in POSITIONS:
            unused = 0 if table.padding_idx is None else table.padding_idx + 1
            return table.num_embeddings - unused - getattr(table, "offset", 0)
    return None


def matrices(module: nn.Module) -> Iterator[Tensor]:
    """The matrices of the layers."""
    for layer in layers(module):
        tables = {weight for part in layer.modules() if isinstance(part, nn.Embedding) for weight in part.parameters()}
        yield from (weight for weight in layer.parameters() if weight.ndim == 2 and weight not in tables)


def layers(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of each stack: the elements of the outermost lists of modules."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from layers(child)


def _takes(module: nn.Module) -> frozenset[str]:
    """The names of the inputs of a module."""
    return frozenset(signature(module.forward).parameters)


def _json(folder: Path, name: str) -> Mapping[str, Any]:
    file = folder / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _first_number(content: Mapping[str, Any], names: Sequence[str] = ("model_max_length",)) -> int | None:
    """The first of some settings that is a number of tokens; a tokenizer without a limit says 10^30."""
    return next((int(content[name]) for name in names if 0 < (content.get(name) or 0) < UNLIMITED), None)
