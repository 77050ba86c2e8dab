"""The formats of `transformers` that our Transformer supports: their configurations, and their names of the weights.

Qwen3, Llama (SmolLM2 is one) and EuroBERT share one layout; Marian is the original encoder-decoder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from components.model.config import ModelConfig

Names = dict[str, tuple[str, ...]]
"""Maps our name of a weight to theirs; a fused matrix of ours contains the rows of several of theirs."""


class Unknown(Exception):
    """A setting of a configuration that our layers do not support."""


@dataclass(frozen=True)
class Form:
    """One model format of `transformers`."""

    fits: Callable[[ModelConfig], bool]
    write: Callable[[ModelConfig], dict[str, object]]
    read: Callable[[Mapping[str, Any]], ModelConfig]
    names: Callable[[ModelConfig], Names]
    constants: Callable[[ModelConfig], dict[str, Tensor]]  # weights that theirs has and ours does not


def of(config: ModelConfig) -> Form | None:
    """The format that fits a configuration of ours, if any."""
    return next((form for form in BY_TYPE.values() if form.fits(config)), None)


def rows(parts: int, config: ModelConfig, length: int) -> list[int]:
    """How many rows of a weight of ours belong to each of their parts."""
    if parts == 3:  # queries, keys, values
        return [heads * config.head_dim for heads in (config.num_heads, config.num_kv_heads, config.num_kv_heads)]
    return [length // parts] * parts


# The layout of Llama, Qwen3 and EuroBERT.

_LLAMA_BLOCK: Names = {
    "attention_norm.weight": ("input_layernorm.weight",),
    "attention.qkv.weight": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "attention.out.weight": ("self_attn.o_proj.weight",),
    "mlp_norm.weight": ("post_attention_layernorm.weight",),
    "mlp.up.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "mlp.down.weight": ("mlp.down_proj.weight",),
}
_QK_NORM: Names = {
    "attention.query_norm.weight": ("self_attn.q_norm.weight",),
    "attention.key_norm.weight": ("self_attn.k_norm.weight",),
}
_LLAMA_SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_sequence_length": "max_position_embeddings",
    "norm_eps": "rms_norm_eps",
    "tie_embeddings": "tie_word_embeddings",
}
# Settings of `transformers` that are fixed in our layers.
_LLAMA_FIXED = {"hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "use_sliding_window": False}


def _is_llama_like(config: ModelConfig) -> bool:
    style = (config.positions, config.norm, config.norm_position, config.activation)
    return style == ("rotary", "rms", "pre", "swiglu") and config.logit_soft_cap is None and not config.ngram_rows


def _llama_names(config: ModelConfig) -> Names:
    block = _LLAMA_BLOCK | (_QK_NORM if config.qk_norm else {})
    stack = "encoder" if config.architecture == "encoder" else "decoder"
    names: Names = {"embedding.weight": ("model.embed_tokens.weight",)}
    for layer in range(config.num_layers):
        for ours, theirs in block.items():
            names[f"{stack}.blocks.{layer}.{ours}"] = tuple(f"model.layers.{layer}.{name}" for name in theirs)
    names[f"{stack}.norm.weight"] = ("model.norm.weight",)
    if config.labels:
        names["head.weight"] = ("classifier.weight",)
    elif not config.tie_embeddings:
        names["head.weight"] = ("lm_head.weight",)
    return names


def _write_llama(config: ModelConfig, model_type: str, architecture: str) -> dict[str, object]:
    content: dict[str, object] = {
        "architectures": [architecture],
        "model_type": model_type,
        "dtype": "float32",
        "initializer_range": 0.02,
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "attention_bias": False,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "rope_theta": config.rope_theta,
        **{theirs: getattr(config, ours) for ours, theirs in _LLAMA_SIZES.items()},
    }
    if config.architecture == "encoder":  # else they default to ids of EuroBERT's own vocabulary
        content |= dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    if config.labels:
        content["id2label"] = {str(number): label for number, label in enumerate(config.labels)}
        content["label2id"] = {label: number for number, label in enumerate(config.labels)}
    return dict(sorted(content.items()))


def _read_llama(content: Mapping[str, Any], **style: Any) -> ModelConfig:
    for name, value in _LLAMA_FIXED.items():
        if content.get(name, value) != value:
            raise Unknown(f"{name} = {content[name]!r}")
    rope = content.get("rope_parameters") or content.get("rope_scaling") or {}
    if rope.get("rope_type", "default") != "default":
        raise Unknown(f"rotary positions of the type {rope['rope_type']!r}")
    heads = content["num_attention_heads"]
    labelled = "ForTokenClassification" in content["architectures"][0]
    return ModelConfig(
        **{ours: content[theirs] for ours, theirs in _LLAMA_SIZES.items()},
        labels=tuple(content["id2label"].values()) if labelled else (),
        num_kv_heads=content.get("num_key_value_heads") or heads,
        head_dim=content.get("head_dim") or content["hidden_size"] // heads,
        rope_theta=rope.get("rope_theta") or content["rope_theta"],
        positions="rotary",
        norm="rms",
        norm_position="pre",
        activation="swiglu",
        logit_soft_cap=None,
        **style,
    )


QWEN3 = Form(
    fits=lambda config: _is_llama_like(config) and config.architecture == "decoder" and config.qk_norm,
    write=lambda config: _write_llama(config, "qwen3", "Qwen3ForCausalLM"),
    read=lambda content: _read_llama(content, architecture="decoder", qk_norm=True),
    names=_llama_names,
    constants=lambda _: {},
)
LLAMA = Form(
    fits=lambda config: _is_llama_like(config) and config.architecture == "decoder" and not config.qk_norm,
    write=lambda config: _write_llama(config, "llama", "LlamaForCausalLM"),
    read=lambda content: _read_llama(content, architecture="decoder", qk_norm=False),
    names=_llama_names,
    constants=lambda _: {},
)
EUROBERT = Form(
    fits=lambda config: _is_llama_like(config) and config.architecture == "encoder" and not config.qk_norm,
    write=lambda config: _write_llama(
        config, "eurobert", f"EuroBertFor{'TokenClassification' if config.labels else 'MaskedLM'}"
    ),
    read=lambda content: _read_llama(content, architecture="encoder", qk_norm=False),
    names=_llama_names,
    constants=lambda config: {"classifier.bias": torch.zeros(len(config.labels))} if config.labels else {},
)


# Marian, the original Transformer.

_MARIAN_ENCODER = {
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.out": ("self_attn.out_proj",),
    "attention_norm": ("self_attn_layer_norm",),
    "mlp.up": ("fc1",),
    "mlp.down": ("fc2",),
    "mlp_norm": ("final_layer_norm",),
}
_MARIAN_DECODER = _MARIAN_ENCODER | {
    "cross_attention.query": ("encoder_attn.q_proj",),
    "cross_attention.key_value": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "cross_attention.out": ("encoder_attn.out_proj",),
    "cross_norm": ("encoder_attn_layer_norm",),
}
_MARIAN_ACTIVATIONS = ("relu", "gelu")
_MARIAN_NORM_EPS = 1e-5  # PyTorch's default, which Marian's configuration does not name


def _is_marian(config: ModelConfig) -> bool:
    style = (config.architecture, config.positions, config.norm, config.norm_position, config.logit_soft_cap)
    sizes = (config.head_dim * config.num_heads, config.num_kv_heads, config.norm_eps)
    return (
        style == ("encoder_decoder", "sinusoidal", "layer", "post", None)
        and sizes == (config.hidden_size, config.num_heads, _MARIAN_NORM_EPS)
        and config.activation in _MARIAN_ACTIVATIONS
        and not config.qk_norm
        and config.tie_embeddings
    )


def _write_marian(config: ModelConfig) -> dict[str, object]:
    halves = {
        f"{half}_{name}": value
        for half in ("encoder", "decoder")
        for name, value in (
            ("layers", config.num_layers),
            ("attention_heads", config.num_heads),
            ("ffn_dim", config.intermediate_size),
        )
    }
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "dtype": "float32",
        "activation_function": config.activation,
        "d_model": config.hidden_size,
        "dropout": 0.0,
        "is_encoder_decoder": True,
        "max_position_embeddings": config.max_sequence_length,
        "scale_embedding": True,
        "share_encoder_decoder_embeddings": True,
        "tie_word_embeddings": True,
        "vocab_size": config.vocab_size,
        # The ids of special tokens depend on the tokenizer and are in generation_config.json.
        "decoder_start_token_id": 0,
        **dict.fromkeys(("eos_token_id", "forced_eos_token_id", "pad_token_id")),
        **halves,
    }


def _read_marian(content: Mapping[str, Any]) -> ModelConfig:
    if not content["scale_embedding"] or content["encoder_layers"] != content["decoder_layers"]:
        raise Unknown("embeddings that are not scaled, or halves of different depth")
    if content["activation_function"] not in _MARIAN_ACTIVATIONS:
        raise Unknown(f"activation_function = {content['activation_function']!r}")
    return ModelConfig(
        architecture="encoder_decoder",
        vocab_size=content["vocab_size"],
        labels=(),
        hidden_size=content["d_model"],
        num_layers=content["encoder_layers"],
        num_heads=content["encoder_attention_heads"],
        num_kv_heads=content["encoder_attention_heads"],
        head_dim=content["d_model"] // content["encoder_attention_heads"],
        intermediate_size=content["encoder_ffn_dim"],
        max_sequence_length=content["max_position_embeddings"],
        positions="sinusoidal",
        rope_theta=10_000.0,
        norm="layer",
        norm_position="post",
        norm_eps=_MARIAN_NORM_EPS,
        activation=content["activation_function"],
        qk_norm=False,
        tie_embeddings=True,
        logit_soft_cap=None,
    )


def _marian_names(config: ModelConfig) -> Names:
    names: Names = {"embedding.weight": ("model.shared.weight",)}
    for stack, block in (("encoder", _MARIAN_ENCODER), ("decoder", _MARIAN_DECODER)):
        for layer in range(config.num_layers):
            for ours, theirs in block.items():
                for kind in ("weight", "bias"):
                    names[f"{stack}.blocks.{layer}.{ours}.{kind}"] = tuple(
                        f"model.{stack}.layers.{layer}.{name}.{kind}" for name in theirs
                    )
    return names


MARIAN = Form(
    fits=_is_marian,
    write=_write_marian,
    read=_read_marian,
    names=_marian_names,
    constants=lambda config: {"final_logits_bias": torch.zeros(1, config.vocab_size)},
)

BY_TYPE = {"qwen3": QWEN3, "llama": LLAMA, "eurobert": EUROBERT, "marian": MARIAN}
