"""Marian, the original Transformer (https://arxiv.org/abs/1706.03762), as an encoder-decoder for translation."""

from collections.abc import Mapping
from typing import Any

import torch

from components.model.config import ModelConfig, Traits
from components.model.formats.form import Form, Names, Unknown, one_of, settings, whole

_DEFAULTS = {
    "vocab_size": 58101,
    "decoder_vocab_size": None,
    "max_position_embeddings": 1024,
    "encoder_layers": 12,
    "encoder_ffn_dim": 4096,
    "encoder_attention_heads": 16,
    "decoder_layers": 12,
    "decoder_ffn_dim": 4096,
    "decoder_attention_heads": 16,
    "activation_function": "gelu",
    "d_model": 1024,
    "scale_embedding": False,
    "share_encoder_decoder_embeddings": True,
    "tie_word_embeddings": True,
}
_NEUTRAL = {
    "is_encoder_decoder": True,
    "is_decoder": False,
    "add_bias_logits": False,
    "add_final_layer_norm": False,
    "normalize_before": False,
    "normalize_embedding": False,
    "static_position_embeddings": True,
}
_NOT_READ = dict.fromkeys(
    (
        "_num_labels",
        "activation_dropout",
        "bad_words_ids",
        "classif_dropout",
        "classifier_dropout",
        "decoder_layerdrop",
        "dropout",
        "encoder_layerdrop",
        "extra_pos_embeddings",
        "gradient_checkpointing",
        "init_std",
        "num_hidden_layers",
    )
)
_HALVES = tuple((f"encoder_{name}", f"decoder_{name}") for name in ("layers", "ffn_dim", "attention_heads"))
_ENCODER = {
    "attention.qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attention.out": ("self_attn.out_proj",),
    "attention_norm": ("self_attn_layer_norm",),
    "mlp.up": ("fc1",),
    "mlp.down": ("fc2",),
    "mlp_norm": ("final_layer_norm",),
}
_DECODER = _ENCODER | {
    "cross_attention.query": ("encoder_attn.q_proj",),
    "cross_attention.key_value": ("encoder_attn.k_proj", "encoder_attn.v_proj"),
    "cross_attention.out": ("encoder_attn.out_proj",),
    "cross_norm": ("encoder_attn_layer_norm",),
}
_ACTIVATIONS = ("relu", "gelu")
_NORM_EPS = 1e-5  # PyTorch's default, which Marian's configuration does not name


def _fits(config: ModelConfig) -> bool:
    style = (config.architecture, config.positions, config.norm, config.norm_position, config.logit_soft_cap)
    sizes = (config.head_dim * config.num_heads, config.num_kv_heads, config.norm_eps)
    return (
        style == ("encoder_decoder", "sinusoidal", "layer", "post", None)
        and sizes == (config.hidden_size, config.num_heads, _NORM_EPS)
        and config.activation in _ACTIVATIONS
        and not config.qk_norm
        and config.tie_embeddings
        and config.traits == Traits()
    )


def _write(config: ModelConfig) -> dict[str, object]:
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


def _read(content: Mapping[str, Any]) -> ModelConfig:
    raw = settings(content, _DEFAULTS | _NOT_READ, _NEUTRAL)
    for ours, theirs in _HALVES:
        if raw[ours] != raw[theirs]:
            raise Unknown(f"{theirs} = {raw[theirs]!r} beside {ours} = {raw[ours]!r}")
    for key in ("scale_embedding", "share_encoder_decoder_embeddings", "tie_word_embeddings"):
        if raw[key] is not True:
            raise Unknown(f"{key} = {raw[key]!r}")
    if raw["decoder_vocab_size"] not in (None, raw["vocab_size"]):
        raise Unknown(f"decoder_vocab_size = {raw['decoder_vocab_size']!r}")
    whole(raw, "vocab_size", "d_model", "max_position_embeddings", *(key for key, _ in _HALVES))
    return ModelConfig(
        architecture="encoder_decoder",
        vocab_size=raw["vocab_size"],
        labels=(),
        hidden_size=raw["d_model"],
        num_layers=raw["encoder_layers"],
        num_heads=raw["encoder_attention_heads"],
        num_kv_heads=raw["encoder_attention_heads"],
        head_dim=raw["d_model"] // raw["encoder_attention_heads"],
        intermediate_size=raw["encoder_ffn_dim"],
        max_sequence_length=raw["max_position_embeddings"],
        positions="sinusoidal",
        rope_theta=10_000.0,
        norm="layer",
        norm_position="post",
        norm_eps=_NORM_EPS,
        activation=one_of(raw, "activation_function", {name: name for name in _ACTIVATIONS}),
        qk_norm=False,
        tie_embeddings=True,
        logit_soft_cap=None,
    )


def _names(config: ModelConfig) -> Names:
    names: Names = {"embedding.weight": ("model.shared.weight",)}
    for stack, block in (("encoder", _ENCODER), ("decoder", _DECODER)):
        for layer in range(config.num_layers):
            for ours, theirs in block.items():
                for kind in ("weight", "bias"):
                    names[f"{stack}.blocks.{layer}.{ours}.{kind}"] = tuple(
                        f"model.{stack}.layers.{layer}.{name}.{kind}" for name in theirs
                    )
    return names


MARIAN = Form(
    fits=_fits,
    write=_write,
    read=_read,
    names=_names,
    constants=lambda config: {"final_logits_bias": torch.zeros(1, config.vocab_size)},
    copies=lambda _: dict.fromkeys(
        ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"),
        "model.shared.weight",
    ),
    computed=("embed_positions.weight",),
)
