"""The layout of Llama, which most families of decoders share, and what a family says about its own.

A family is data: the defaults of its configuration, and functions for what it has beyond Llama.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from components.model.config import GATED, Activation, Architecture, Matrices, ModelConfig, Traits
from components.model.formats import rotary
from components.model.formats.form import Change, Form, Names, Unknown, one_of, settings, unchanged, whole
from components.model.rope import LongRope

BLOCK: Names = {
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
_BIASED: dict[Matrices, tuple[str, ...]] = {
    "qkv": ("attention.qkv.weight",),
    "out": ("attention.out.weight",),
    "mlp": ("mlp.up.weight", "mlp.down.weight"),
}
ACTIVATIONS: dict[str, Activation] = {"silu": "swiglu", "gelu_pytorch_tanh": "geglu"}
SIZES = {
    "vocab_size": "vocab_size",
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "intermediate_size": "intermediate_size",
    "max_sequence_length": "max_position_embeddings",
    "norm_eps": "rms_norm_eps",
    "tie_embeddings": "tie_word_embeddings",
}


def _names(config: ModelConfig, block: Names) -> Names:
    """The names of the weights in the layout of Llama, with these in each block."""
    block = block | (_QK_NORM if config.qk_norm else {})
    for matrices in config.traits.biased:
        for ours in _BIASED[matrices]:
            theirs = tuple(name.replace(".weight", ".bias") for name in block[ours])
            block[ours.replace(".weight", ".bias")] = theirs
    stack = "encoder" if config.architecture == "encoder" else "decoder"
    raw: Names = {"embedding.weight": ("model.embed_tokens.weight",)}
    for layer in range(config.num_layers):
        for ours, theirs in block.items():
            raw[f"{stack}.blocks.{layer}.{ours}"] = tuple(f"model.layers.{layer}.{name}" for name in theirs)
    raw[f"{stack}.norm.weight"] = ("model.norm.weight",)
    if config.labels:
        raw["head.weight"] = ("classifier.weight",)
    elif not config.tie_embeddings:
        raw["head.weight"] = ("lm_head.weight",)
    return raw


def _sizes(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `ModelConfig` that all families of this layout have under the same keys."""
    kept = {"norm_eps": "rms_norm_eps", "tie_embeddings": "tie_word_embeddings"}
    whole(raw, *(key for key in SIZES.values() if key not in kept.values()))
    heads = raw["num_attention_heads"]
    kv_heads = heads if raw["num_key_value_heads"] is None else raw["num_key_value_heads"]
    head_dim = raw["hidden_size"] // heads if raw["head_dim"] is None else raw["head_dim"]
    whole({"num_key_value_heads": kv_heads, "head_dim": head_dim}, "num_key_value_heads", "head_dim")
    if heads % kv_heads:
        raise Unknown(f"num_key_value_heads = {kv_heads!r} beside num_attention_heads = {heads!r}")
    if not isinstance(raw["rms_norm_eps"], float):
        raise Unknown(f"rms_norm_eps = {raw['rms_norm_eps']!r}")
    one_of(raw, "tie_word_embeddings", {True: True, False: False})
    return {ours: raw[theirs] for ours, theirs in SIZES.items()} | {"num_kv_heads": kv_heads, "head_dim": head_dim}


def _is_plain(config: ModelConfig) -> bool:
    """Whether a model of ours has the layers of Llama, but for norms of queries and keys."""
    style = (config.positions, config.norm, config.norm_position, config.logit_soft_cap)
    gated = config.activation in GATED and not config.ngram_rows
    return style == ("rotary", "rms", "pre", None) and gated and config.traits == Traits()


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models: what its configuration means, and its layers as far as they are not those of Llama."""

    model_type: str
    classes: tuple[str, ...]  # the names in `architectures`: for tokens, and for labels where there is such a class
    defaults: dict[str, Any]  # of all keys that change the model, but for those that `DEFAULTS` has
    neutral: Mapping[str, Any] = field(default_factory=dict)  # keys of other families that change nothing at this value
    rope_theta: float = 10_000.0
    rotation: Callable[[Mapping[str, Any], float], rotary.Rotary] = rotary.read
    partial: bool = False  # whether part of a head may be rotated
    activation: str = "hidden_act"
    architecture: Architecture = "decoder"
    qk_norm: bool = False
    natural: bool = False  # whether models of ours are written in it
    block: Names = field(default_factory=lambda: BLOCK)
    fields: Callable[[Mapping[str, Any]], dict[str, Any]] = lambda _: {}  # of `ModelConfig`, beyond Llama's
    traits: Callable[[Mapping[str, Any]], Traits] = lambda _: Traits()
    extra: Callable[[ModelConfig], dict[str, object]] = lambda _: {}  # keys of its configuration, beyond Llama's
    ours: Change = unchanged
    theirs: Change = unchanged

    def form(self) -> Form:
        """The format of the family."""
        return Form(
            fits=self._fits,
            write=self._write,
            read=self._read,
            names=partial(_names, block=self.block),
            constants=lambda config: {"classifier.bias": torch.zeros(len(config.labels))} if config.labels else {},
            copies=lambda config: {"lm_head.weight": "model.embed_tokens.weight"} if config.tie_embeddings else {},
            ours=self.ours,
            theirs=self.theirs,
        )

    def _fits(self, config: ModelConfig) -> bool:
        kind = (config.architecture, config.qk_norm)
        return self.natural and _is_plain(config) and kind == (self.architecture, self.qk_norm)

    def _read(self, content: Mapping[str, Any]) -> ModelConfig:
        raw = settings(content, DEFAULTS | self.defaults, self.neutral)
        kind = (content.get("architectures") or self.classes)[0]
        if kind not in self.classes:
            raise Unknown(f"architectures = {content['architectures']!r}")
        sizes = _sizes(raw)
        rotation = self.rotation(raw, self.rope_theta)
        rotated = rotary.rotated(rotation, sizes["head_dim"])
        if rotated is not None and not self.partial:
            raise Unknown(f"partial_rotary_factor = {rotation.share!r}")
        if isinstance(rotation.scaling, LongRope):
            window = rotation.scaling.original_max_position_embeddings
            sizes["max_sequence_length"] = min(sizes["max_sequence_length"], window)
        style = {"norm": "rms", "norm_position": "pre", "positions": "rotary", "logit_soft_cap": None}
        return ModelConfig(
            **sizes | style | self.fields(raw),
            architecture=self.architecture,
            labels=tuple(content["id2label"].values()) if kind.endswith("ForTokenClassification") else (),
            rope_theta=rotation.theta,
            activation=one_of(raw, self.activation, ACTIVATIONS),
            qk_norm=self.qk_norm,
            traits=replace(self.traits(raw), rope_scaling=rotation.scaling, rotary_dim=rotated),
        )

    def _write(self, config: ModelConfig) -> dict[str, object]:
        (activation,) = (name for name, ours in ACTIVATIONS.items() if ours == config.activation)
        scaling = config.traits.rope_scaling
        content: dict[str, object] = {
            "architectures": [self.classes[bool(config.labels)]],
            "model_type": self.model_type,
            "dtype": "float32",
            "initializer_range": 0.02,
            "attention_dropout": 0.0,
            self.activation: activation,
            "num_key_value_heads": config.num_kv_heads,
            "head_dim": config.head_dim,
            **{theirs: getattr(config, ours) for ours, theirs in SIZES.items()},
            **rotary.write(config.rope_theta, scaling),
        }
        if isinstance(scaling, LongRope) and config.max_sequence_length == config.longest_window:
            content["max_position_embeddings"] = round(config.longest_window * max(1, scaling.factor))
        if config.labels:
            content["id2label"] = {str(number): label for number, label in enumerate(config.labels)}
            content["label2id"] = {label: number for number, label in enumerate(config.labels)}
        return dict(sorted((content | self.extra(config)).items()))


DEFAULTS: dict[str, Any] = rotary.KEYS | {
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "head_dim": None,
    "num_key_value_heads": None,
}
NO_TOKENS: dict[str, object] = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
"""Else they default to ids of the family's own vocabulary; ours are in `generation_config.json`."""


def biased(raw: Mapping[str, Any]) -> tuple[Matrices, ...]:
    """The matrices with biases, by `attention_bias` and `mlp_bias`."""
    attention: tuple[Matrices, ...] = ("qkv", "out") if flag(raw, "attention_bias") else ()
    return (*attention, "mlp") if flag(raw, "mlp_bias") else attention


def flag(raw: Mapping[str, Any], key: str) -> bool:
    """A setting that is true or false; one that the family does not have is false."""
    return key in raw and bool(one_of(raw, key, {True: True, False: False}))
