"""A model as a folder that `transformers` loads as Qwen3: `config.json` and `model.safetensors`."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from components.model.config import ModelConfig
from components.model.transformer import Transformer

# Ours beside those of transformers.models.qwen3; the fused matrices stand for the rows of several.
_BLOCK = {
    "attention_norm.weight": ("input_layernorm.weight",),
    "attention.qkv.weight": ("self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"),
    "attention.out.weight": ("self_attn.o_proj.weight",),
    "attention.query_norm.weight": ("self_attn.q_norm.weight",),
    "attention.key_norm.weight": ("self_attn.k_norm.weight",),
    "mlp_norm.weight": ("post_attention_layernorm.weight",),
    "mlp.gate_up.weight": ("mlp.gate_proj.weight", "mlp.up_proj.weight"),
    "mlp.down.weight": ("mlp.down_proj.weight",),
}


def save(model: Transformer, folder: Path) -> None:
    """Write `config.json` and `model.safetensors` (fp32)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(to_hugging_face(model.config), indent=2) + "\n")
    save_file(state_dict(model), folder / "model.safetensors", metadata={"format": "pt"})


def load(folder: Path) -> Transformer:
    """The model of a folder, in fp32 on the CPU, in evaluation mode."""
    model = Transformer(from_hugging_face(json.loads((folder / "config.json").read_text())))
    weights = load_file(folder / "model.safetensors")
    names = _names(model.config)
    model.load_state_dict(
        {ours: torch.cat([weights[name].float() for name in theirs]) for ours, theirs in names.items()},
        strict=not model.config.tie_embeddings,
    )
    return model.eval()


def state_dict(model: Transformer) -> dict[str, Tensor]:
    """The weights under the names of `transformers`."""
    config, ours = model.config, model.state_dict()
    parts = {
        "attention.qkv.weight": [n * config.head_dim for n in (config.num_heads, *[config.num_kv_heads] * 2)],
        "mlp.gate_up.weight": [config.intermediate_size] * 2,
    }
    weights: dict[str, Tensor] = {}
    for name, theirs in _names(config).items():
        sizes = next((rows for ending, rows in parts.items() if name.endswith(ending)), [len(ours[name])])
        weights |= zip(theirs, (part.contiguous() for part in ours[name].split(sizes)), strict=True)
    return weights


def to_hugging_face(config: ModelConfig) -> dict[str, object]:
    """The `config.json` of a model."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "dtype": "float32",
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "hidden_size": config.hidden_size,
        "initializer_range": 0.02,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_sequence_length,
        "model_type": "qwen3",
        "num_attention_heads": config.num_heads,
        "num_hidden_layers": config.num_layers,
        "num_key_value_heads": config.num_kv_heads,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tie_embeddings,
        "use_cache": True,
        "vocab_size": config.vocab_size,
    }


def from_hugging_face(content: dict[str, object]) -> ModelConfig:
    """The sizes in a `config.json`."""
    names = {
        "vocab_size": "vocab_size",
        "hidden_size": "hidden_size",
        "num_layers": "num_hidden_layers",
        "num_heads": "num_attention_heads",
        "num_kv_heads": "num_key_value_heads",
        "head_dim": "head_dim",
        "intermediate_size": "intermediate_size",
        "max_sequence_length": "max_position_embeddings",
        "rope_theta": "rope_theta",
        "norm_eps": "rms_norm_eps",
        "tie_embeddings": "tie_word_embeddings",
    }
    return ModelConfig(**{ours: content[theirs] for ours, theirs in names.items()})  # type: ignore[arg-type]


def _names(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    names: dict[str, tuple[str, ...]] = {"embedding.weight": ("model.embed_tokens.weight",)}
    for layer in range(config.num_layers):
        for ours, theirs in _BLOCK.items():
            names[f"blocks.{layer}.{ours}"] = tuple(f"model.layers.{layer}.{name}" for name in theirs)
    names["norm.weight"] = ("model.norm.weight",)
    if not config.tie_embeddings:
        names["head.weight"] = ("lm_head.weight",)
    return names
