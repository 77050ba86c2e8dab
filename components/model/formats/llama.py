"""The families whose layers are those of Llama, but for biases, windows and positions.

Llama 1, 2 and 3, SmolLM2 and TinyLlama are written as `llama`.
"""

from collections.abc import Mapping
from typing import Any

from components.model.config import Matrices, ModelConfig, Traits
from components.model.formats import layers
from components.model.formats.form import Unknown, whole
from components.model.formats.layout import NO_TOKENS, Family, biased, flag

BIASES = {"attention_bias": False, "mlp_bias": False}


def _write_biases(config: ModelConfig) -> dict[str, object]:
    mlp: dict[str, object] = {"mlp_bias": True} if "mlp" in config.traits.biased else {}
    return {"attention_bias": "qkv" in config.traits.biased} | mlp


# Llama and EuroBERT

_llama = Family(
    model_type="llama",
    classes=("LlamaForCausalLM",),
    natural=True,
    defaults=BIASES
    | {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 2048,
    },
    traits=lambda raw: Traits(biased=biased(raw)),
    extra=_write_biases,
)
_eurobert = Family(
    model_type="eurobert",
    classes=("EuroBertForMaskedLM", "EuroBertForTokenClassification"),
    defaults=BIASES
    | {
        "vocab_size": 128_256,
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
    },
    architecture="encoder",
    natural=True,
    traits=lambda raw: Traits(biased=biased(raw)),
    extra=lambda config: NO_TOKENS | _write_biases(config),
)


# Mistral: every layer sees the window alone.


def _of_mistral(raw: Mapping[str, Any]) -> Traits:
    slides = raw["sliding_window"] is not None
    sliding = layers.sliding(raw, [slides] * raw["num_hidden_layers"])
    if len(sliding) != slides * raw["num_hidden_layers"]:  # `transformers` goes by the window alone
        raise Unknown(f"layer_types = {raw['layer_types']!r} with sliding_window = {raw['sliding_window']!r}")
    return Traits(sliding_window=raw["sliding_window"], sliding_layers=sliding)


_mistral = Family(
    model_type="mistral",
    classes=("MistralForCausalLM",),
    defaults={
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131_072,
        "sliding_window": 4096,
        "layer_types": None,
    },
    neutral={"attention_bias": False, "mlp_bias": False},
    traits=_of_mistral,
    extra=lambda config: NO_TOKENS | {"sliding_window": config.traits.sliding_window},
)


# Qwen2, whose queries, keys and values have biases, and Qwen3, whose queries and keys have norms.

_QWEN = {
    "vocab_size": 151_936,
    "hidden_size": 4096,
    "intermediate_size": 22016,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 32768,
    "use_sliding_window": False,
    "sliding_window": 4096,
    "max_window_layers": 28,
    "layer_types": None,
}


def _of_qwen(raw: Mapping[str, Any], biased: tuple[Matrices, ...]) -> Traits:
    window = raw["sliding_window"] if flag(raw, "use_sliding_window") else None
    first = raw["max_window_layers"]
    default = [window is not None and layer >= first for layer in range(raw["num_hidden_layers"])]
    sliding = layers.sliding({**raw, "sliding_window": window}, default)
    return Traits(biased=biased, sliding_window=window if sliding else None, sliding_layers=sliding)


def _write_sliding(config: ModelConfig) -> dict[str, object]:
    traits = config.traits
    if not traits.sliding_layers:
        return {}
    types = layers.types(traits.sliding_layers, config.num_layers)
    return {"use_sliding_window": True, "sliding_window": traits.sliding_window, "layer_types": types}


_qwen2 = Family(
    model_type="qwen2",
    classes=("Qwen2ForCausalLM",),
    defaults=_QWEN,
    neutral={"use_mrope": False, "attention_bias": True, "mlp_bias": False},
    traits=lambda raw: _of_qwen(raw, ("qkv",)),
    extra=_write_sliding,
)
_qwen3 = Family(
    model_type="qwen3",
    classes=("Qwen3ForCausalLM",),
    natural=True,
    defaults=_QWEN | {"head_dim": 128, "attention_bias": False},
    qk_norm=True,
    neutral={"mlp_bias": False},
    traits=lambda raw: _of_qwen(raw, biased(raw)),
    extra=lambda config: _write_sliding(config) | _write_biases(config),
)


# SmolLM3: some layers have no positions.


def _of_smollm3(raw: Mapping[str, Any]) -> Traits:
    count, interval = raw["num_hidden_layers"], raw["no_rope_layer_interval"]
    rotated = raw["no_rope_layers"]  # 1 where there are positions
    if rotated is None:
        whole(raw, "no_rope_layer_interval")
        rotated = [int((layer + 1) % interval != 0) for layer in range(count)]
    if len(rotated) != count or not {0, 1}.issuperset(rotated):
        raise Unknown(f"no_rope_layers = {rotated!r}")
    window = raw["sliding_window"] if flag(raw, "use_sliding_window") else None
    default = [window is not None and not turned for turned in rotated]
    sliding = layers.sliding({**raw, "sliding_window": window}, default)
    return Traits(
        biased=biased(raw),
        sliding_window=window if sliding else None,
        sliding_layers=sliding,
        unrotated_layers=tuple(layer for layer, turned in enumerate(rotated) if not turned),
    )


def _write_smollm3(config: ModelConfig) -> dict[str, object]:
    unrotated = config.traits.unrotated_layers
    rotated = [int(layer not in unrotated) for layer in range(config.num_layers)]
    types = {"layer_types": layers.types(config.traits.sliding_layers, config.num_layers)}
    return NO_TOKENS | {"no_rope_layers": rotated} | types | _write_sliding(config) | _write_biases(config)


_smollm3 = Family(
    model_type="smollm3",
    classes=("SmolLM3ForCausalLM",),
    defaults=BIASES
    | {
        "vocab_size": 128_256,
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
        "use_sliding_window": False,
        "sliding_window": None,
        "no_rope_layers": None,
        "no_rope_layer_interval": 4,
        "layer_types": None,
        "max_window_layers": None,  # which it has from Qwen2, and does not read
    },
    rope_theta=2_000_000.0,
    traits=_of_smollm3,
    extra=_write_smollm3,
)

FAMILIES = (_qwen3, _llama, _eurobert, _mistral, _qwen2, _smollm3)
