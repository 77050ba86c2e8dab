"""Phi-3 and Phi-4-mini (https://arxiv.org/abs/2404.14219): fused matrices, and heads that are rotated in part.

Their heads begin with the dimensions that are rotated, in halves; ours are in halves as a whole. So rows of queries and
keys change places, and the frequencies of the others are zero. Products of queries and keys stay the same.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from components.model.config import ModelConfig, Traits
from components.model.formats import rotary
from components.model.formats.form import Names, Unknown, whole
from components.model.formats.layout import BLOCK, NO_TOKENS, Family

_BLOCK: Names = BLOCK | {
    "attention.qkv.weight": ("self_attn.qkv_proj.weight",),
    "mlp.up.weight": ("mlp.gate_up_proj.weight",),
}
_WINDOW = "original_max_position_embeddings"


def _rotation(raw: Mapping[str, Any], default_theta: float) -> rotary.Rotary:
    """The window of its first training stands beside `rope_scaling`, and is taken from there."""
    whole(raw, _WINDOW)
    given = dict(raw["rope_scaling"] or raw["rope_parameters"] or {})
    if {given.get("rope_type"), given.get("type")} & {"su", "yarn"}:
        raise Unknown(f"rope_scaling = {given!r}")
    if raw["partial_rotary_factor"] is not None:
        given.setdefault("partial_rotary_factor", raw["partial_rotary_factor"])
    if (given.get("rope_type") or given.get("type") or "default") != "default":
        given[_WINDOW] = raw[_WINDOW]
        if raw["head_dim"] not in (None, raw["hidden_size"] // raw["num_attention_heads"]):
            raise Unknown(f"head_dim = {raw['head_dim']!r} with rope_scaling = {given!r}")
    if raw["rope_scaling"] and raw["rope_parameters"]:
        raise Unknown("rope_scaling beside rope_parameters")
    theta = default_theta if raw["rope_theta"] is None else raw["rope_theta"]
    return rotary.parse(given, theta, raw["max_position_embeddings"])


def _traits(raw: Mapping[str, Any]) -> Traits:
    window, count = raw["sliding_window"], raw["num_hidden_layers"]
    if window is None:
        return Traits()
    whole(raw, "sliding_window")
    return Traits(sliding_window=window, sliding_layers=tuple(range(count)))


def _extra(config: ModelConfig) -> dict[str, object]:
    rotated = config.traits.rotary_dim or config.head_dim
    scaling = config.traits.rope_scaling
    window = config.max_sequence_length if scaling is None else config.longest_window
    share = {"partial_rotary_factor": rotated / config.head_dim}
    return NO_TOKENS | share | {"sliding_window": config.traits.sliding_window, _WINDOW: window}


def _order(config: ModelConfig) -> Tensor:
    """The place in a head of theirs of each dimension of ours."""
    places, half = torch.arange(config.head_dim), config.head_dim // 2
    rotated = (config.traits.rotary_dim or config.head_dim) // 2
    still = places[2 * rotated :]
    first, last = still[: half - rotated], still[half - rotated :]
    return torch.cat((places[:rotated], first, places[rotated : 2 * rotated], last))


def _reordered(config: ModelConfig, name: str, weight: Tensor, order: Tensor) -> Tensor:
    if not name.endswith("attention.qkv.weight"):
        return weight
    heads = weight.view(-1, config.head_dim, *weight.shape[1:])
    turned = config.num_heads + config.num_kv_heads
    return torch.cat((heads[:turned, order], heads[turned:])).flatten(0, 1)


_phi3 = Family(
    model_type="phi3",
    classes=("Phi3ForCausalLM",),
    defaults={
        "vocab_size": 32064,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 4096,
        "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "partial_rotary_factor": None,
        "sliding_window": None,
    },
    neutral={
        "attention_bias": False,
        "mlp_bias": False,
        "lm_head_bias": False,
        "full_attn_mod": 1,
        "interpolate_factor": 1,
    },
    rotation=_rotation,
    partial=True,
    block=_BLOCK,
    traits=_traits,
    extra=_extra,
    ours=lambda config, name, weight: _reordered(config, name, weight, _order(config)),
    theirs=lambda config, name, weight: _reordered(config, name, weight, _order(config).argsort()),
)

FAMILIES = (_phi3,)
