"""A decoder as the metadata and the tensors of GGUF, for the architectures of llama.cpp that compute the same.

docs/export.md has the table of what fits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.core.errors import BadSettings
from components.model import hf
from components.model.config import Matrices, ModelConfig, Traits
from components.model.transformer import Transformer

CONVERTER = "the package may be one that convert_hf_to_gguf.py of llama.cpp takes"


@dataclass(frozen=True)
class Architecture:
    """An architecture of llama.cpp, which has the name of the model type in `transformers`."""

    name: str
    biased: tuple[Matrices, ...] = ()  # the matrices that always have biases
    interleaved: bool = False  # rotary positions turn neighbours, not halves: rows of queries and keys change places


ARCHITECTURES = {
    found.name: found
    for found in (
        Architecture("qwen3"),
        Architecture("qwen2", biased=("qkv",)),
        Architecture("llama", interleaved=True),
    )
}
OF_OURS = {
    "architecture": "decoder",
    "positions": "rotary",
    "norm": "rms",
    "norm_position": "pre",
    "activation": "swiglu",
    "logit_soft_cap": None,
    "ngram_rows": (),
}
"""What a decoder of ours has to have; with norms of queries and keys it is a Qwen3, and without a Llama."""


def architecture(config: ModelConfig) -> Architecture:
    """The architecture that computes a model. Raises `BadSettings` with the setting that none has."""
    for name, value in OF_OURS.items():
        if (found := getattr(config, name)) != value:
            raise BadSettings(
                f"gguf: no architecture of llama.cpp that we write has {name} = {_shown(found)}: "
                f"train with pretrain.model.{name} {_shown(value) if value else 'left out'}, or export onnx"
            )
    kind = str(hf.write_config(config)["model_type"])
    if kind not in ARCHITECTURES:
        raise BadSettings(f"gguf: a {kind} is not written by us: {CONVERTER}")
    _check_traits(config, ARCHITECTURES[kind])
    return ARCHITECTURES[kind]


def _check_traits(config: ModelConfig, kind: Architecture) -> None:
    known = Traits(family=config.traits.family, biased=kind.biased)
    for name, value in vars(replace(config.traits)).items():
        if value != getattr(known, name):
            raise BadSettings(f"gguf: a {kind.name} with {name} = {_shown(value)} is not written by us: {CONVERTER}")


def _shown(value: object) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def tensors(model: Transformer, kind: Architecture) -> Iterator[tuple[str, Tensor]]:
    """The weights under their names in GGUF, fp32, in the order of the file."""
    from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, get_tensor_name_map

    (number,) = (number for number in MODEL_ARCH if MODEL_ARCH_NAMES[number] == kind.name)
    config, names = model.config, get_tensor_name_map(number, model.config.num_layers)
    for theirs, weight in hf.state_dict(model).items():
        heads = {"q_proj": config.num_heads, "k_proj": config.num_kv_heads}.get(theirs.split(".")[-2])
        if kind.interleaved and heads:
            weight = _interleaved(weight, heads)
        place = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
        assert place is not None, theirs
        yield place, weight


def _interleaved(weight: Tensor, heads: int) -> Tensor:
    """The rows of each head, where a pair that is turned stands half a head apart, with the pair side by side."""
    halves = weight.view(heads, 2, -1, *weight.shape[1:])
    return halves.transpose(1, 2).reshape(weight.shape)


def write_sizes(writer: Any, config: ModelConfig) -> None:
    """Add the sizes of a model to a `GGUFWriter`."""
    writer.add_context_length(config.max_sequence_length)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_heads)
    writer.add_head_count_kv(config.num_kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)


def write(model: Transformer, folder: Path, name: str, file: Path, *, half: bool) -> None:
    """Write a GGUF file with the tokenizer of the package `folder`: matrices in f16 if `half`, all else in f32.

    Raises `BadSettings` for a model or a tokenizer that llama.cpp does not have.
    """
    from gguf import GGUFWriter, LlamaFileType

    from components.export import gguf_vocabulary

    kind = architecture(model.config)
    writer = GGUFWriter(file, kind.name)
    writer.add_name(name)
    writer.add_file_type(LlamaFileType.MOSTLY_F16 if half else LlamaFileType.ALL_F32)
    write_sizes(writer, model.config)
    gguf_vocabulary.read(folder, model.config.vocab_size).write(writer)
    for place, weight in tensors(model, kind):
        stored = weight.to(torch.float16) if half and weight.ndim == 2 else weight
        writer.add_tensor(place, stored.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
