"""Gemma 2 (https://arxiv.org/abs/2408.00118) and the text part of Gemma 3 (https://arxiv.org/abs/2503.19786)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from components.model.config import ModelConfig, Traits
from components.model.formats import layers, rotary
from components.model.formats.form import Names, Unknown, whole
from components.model.formats.layout import BLOCK, NO_TOKENS, Family, biased

_BLOCK: Names = BLOCK | {
    "attention_norm_after.weight": ("post_attention_layernorm.weight",),
    "mlp_norm.weight": ("pre_feedforward_layernorm.weight",),
    "mlp_norm_after.weight": ("post_feedforward_layernorm.weight",),
}
_DEFAULTS = {
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_act": None,  # of the first files of Gemma, and not read
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "query_pre_attn_scalar": 256,
    "sliding_window": 4096,
    "layer_types": None,
}
_NEUTRAL = {"use_bidirectional_attention": False}


def _ours(config: ModelConfig, name: str, weight: Tensor) -> Tensor:  # noqa: ARG001
    """Gemma's norms multiply by one plus their weight."""
    return weight + 1 if _is_norm(name) else weight


def _theirs(config: ModelConfig, name: str, weight: Tensor) -> Tensor:  # noqa: ARG001
    return weight - 1 if _is_norm(name) else weight


def _is_norm(name: str) -> bool:
    return "norm" in name


def _number(raw: Mapping[str, Any], key: str) -> float | None:
    value = raw[key]
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value <= 0):
        raise Unknown(f"{key} = {value!r}")
    return value


def _fields(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {"norm_position": "both", "logit_soft_cap": _number(raw, "final_logit_softcapping")}


def _traits(raw: Mapping[str, Any], every: int) -> Traits:
    """The traits of both versions; without `layer_types` every second or sixth layer sees all tokens."""
    sliding = layers.sliding(raw, [(layer + 1) % every != 0 for layer in range(raw["num_hidden_layers"])])
    scalar = _number(raw, "query_pre_attn_scalar")
    if scalar is None:
        raise Unknown("query_pre_attn_scalar = None")
    return Traits(
        biased=biased(raw),
        embedding_scale=raw["hidden_size"] ** 0.5,
        attention_scale=scalar**-0.5,
        sliding_window=raw["sliding_window"] if sliding else None,
        sliding_layers=sliding,
    )


def _extra(config: ModelConfig) -> dict[str, object]:
    traits = config.traits
    assert traits.attention_scale is not None
    scalar = traits.attention_scale**-2
    return NO_TOKENS | {
        "attention_bias": bool(traits.biased),
        "query_pre_attn_scalar": round(scalar) if abs(scalar - round(scalar)) < 1e-6 else scalar,
        "sliding_window": traits.sliding_window or 4096,
        "layer_types": layers.types(traits.sliding_layers, config.num_layers),
        "final_logit_softcapping": config.logit_soft_cap,
        "attn_logit_softcapping": traits.attention_soft_cap,
    }


_gemma2 = Family(
    model_type="gemma2",
    classes=("Gemma2ForCausalLM",),
    defaults=_DEFAULTS
    | {
        "vocab_size": 256_000,
        "max_position_embeddings": 8192,
        "final_logit_softcapping": 30.0,
        "attn_logit_softcapping": 50.0,
    },
    neutral=_NEUTRAL,
    activation="hidden_activation",
    block=_BLOCK,
    fields=_fields,
    traits=lambda raw: replace(_traits(raw, 2), attention_soft_cap=_number(raw, "attn_logit_softcapping")),
    extra=_extra,
    ours=_ours,
    theirs=_theirs,
)


# Gemma 3: norms of queries and keys, and a base of the rotary positions for each kind of layer.


def _rotation(raw: Mapping[str, Any], default_theta: float) -> rotary.Rotary:
    """The rotary positions of the layers that see all tokens, which alone are scaled."""
    theta = default_theta if raw["rope_theta"] is None else raw["rope_theta"]
    given = _given(raw, layers.FULL)
    if given.get("truncate", True) is not True:  # which `transformers` looks for in another place
        raise Unknown(f"truncate = {given['truncate']!r}")
    return rotary.parse(given, theta, raw["max_position_embeddings"])


def _given(raw: Mapping[str, Any], kind: str) -> dict[str, Any]:
    parameters = raw["rope_parameters"] or {}
    for key, value in parameters.items():
        if key not in (layers.FULL, layers.SLIDING):
            raise Unknown(f"{key} = {value!r} in rope_parameters")
    older = raw["rope_scaling"] if kind == layers.FULL else None
    return {"rope_type": "default"} | (parameters.get(kind) or {}) | (older or {})


def _gemma3_traits(raw: Mapping[str, Any]) -> Traits:
    whole(raw, "sliding_window_pattern")
    traits = _traits(raw, raw["sliding_window_pattern"])
    local = rotary.parse(_given(raw, layers.SLIDING), raw["rope_local_base_freq"], raw["max_position_embeddings"])
    if local.scaling is not None or local.share != 1:
        raise Unknown(f"rope_parameters = {raw['rope_parameters']!r}")
    return replace(traits, sliding_rope_theta=local.theta if traits.sliding_layers else None)


def _gemma3_extra(config: ModelConfig) -> dict[str, object]:
    theta = config.traits.sliding_rope_theta
    return _extra(config) | ({} if theta is None else {"rope_local_base_freq": theta})


_gemma3 = Family(
    model_type="gemma3_text",
    classes=("Gemma3ForCausalLM",),
    defaults=_DEFAULTS
    | {
        "vocab_size": 262_208,
        "max_position_embeddings": 131_072,
        "final_logit_softcapping": None,
        "rope_local_base_freq": 10_000.0,
        "sliding_window_pattern": 6,
    },
    neutral=_NEUTRAL,
    rope_theta=1_000_000.0,
    rotation=_rotation,
    activation="hidden_activation",
    qk_norm=True,
    block=_BLOCK,
    fields=_fields,
    traits=_gemma3_traits,
    extra=_gemma3_extra,
    ours=_ours,
    theirs=_theirs,
)

FAMILIES = (_gemma2, _gemma3)
