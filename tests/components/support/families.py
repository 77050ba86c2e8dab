"""Random small configurations of every family of decoders, as `config.json` has them, and their models."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from hypothesis import strategies as st

from components.model.formats import BY_TYPE

VOCAB_SIZE = 61
DECODERS = sorted(set(BY_TYPE) - {"eurobert", "marian"})
ROTARY: dict[str, dict[str, Any]] = {
    "linear": {"factor": 2.0},
    "llama3": {
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
    },
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16},
    "longrope": {"original_max_position_embeddings": 32},
}  # fmt: skip
REFUSED = {"dynamic": {"factor": 2.0}, "proportional": {"factor": 2.0, "partial_rotary_factor": 0.5}}
YARN = {
    "attention_factor": 0.7, "beta_fast": 8.0, "beta_slow": 2.0, "mscale": 0.8, "mscale_all_dim": 0.5,
    "truncate": False,
}  # fmt: skip

Draw = st.DrawFn


@st.composite
def configurations(draw: Draw, kind: str) -> dict[str, Any]:
    """The content of a `config.json` of this model type, with some keys left out and some that are odd."""
    heads = draw(st.sampled_from([2, 4]))
    head_dim = draw(st.sampled_from([4, 8, 12]))
    content: dict[str, Any] = {
        "model_type": kind, "vocab_size": VOCAB_SIZE, "hidden_size": heads * draw(st.sampled_from([4, 8])),
        "num_hidden_layers": draw(st.integers(1, 4)), "num_attention_heads": heads,
        "num_key_value_heads": draw(st.sampled_from([1, 2, heads, heads if kind in WITH_KV_HEADS else None])),
        "head_dim": head_dim, "intermediate_size": draw(st.sampled_from([12, 24])),
        "max_position_embeddings": 64, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None,
    }  # fmt: skip
    if kind not in WITH_HEAD_DIM and draw(st.booleans()):
        del content["head_dim"]
        head_dim = content["hidden_size"] // heads
    optional = {
        "tie_word_embeddings": st.booleans(),
        "rms_norm_eps": st.sampled_from([1e-6, 1e-2]),
        "torch_dtype": st.just("bfloat16"),
        "attention_dropout": st.just(0.1),
        **OWN.get(kind, {}),
    }
    for key, values in optional.items():
        if draw(st.booleans()):
            content[key] = draw(values)
    content |= draw(rotary(kind, head_dim))
    if draw(st.integers(0, 5)) == 0:
        content |= draw(st.sampled_from(ODD))
    for key in {"layer_types", "no_rope_layers"} & content.keys():
        content[key] = content[key] and content[key][: content["num_hidden_layers"]]
    return content


_types = st.lists(st.sampled_from(["sliding_attention", "full_attention"]), min_size=4, max_size=4)
_windows = st.sampled_from([1, 3, 7, 40])
_qwen: dict[str, st.SearchStrategy[Any]] = {
    "use_sliding_window": st.booleans(), "sliding_window": _windows, "max_window_layers": st.integers(0, 4),
    "layer_types": st.none() | _types,
}  # fmt: skip
_gemma: dict[str, st.SearchStrategy[Any]] = {
    "attention_bias": st.booleans(), "query_pre_attn_scalar": st.sampled_from([5, 16]), "sliding_window": _windows,
    "layer_types": _types, "final_logit_softcapping": st.none() | st.sampled_from([1.0, 5.0]),
    "hidden_activation": st.just("gelu_pytorch_tanh"), "use_bidirectional_attention": st.sampled_from([False, None]),
}  # fmt: skip
_biases: dict[str, st.SearchStrategy[Any]] = {
    "attention_bias": st.booleans(), "mlp_bias": st.booleans(),
    "hidden_act": st.sampled_from(["silu", "gelu_pytorch_tanh"]),
}  # fmt: skip
OWN: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "llama": _biases,
    "mistral": {"sliding_window": st.none() | _windows},
    "qwen2": _qwen,
    "qwen3": _qwen | {"attention_bias": st.booleans()},
    "smollm3": _qwen | _biases | {
        "no_rope_layers": st.lists(st.integers(0, 1), min_size=4, max_size=4),
        "no_rope_layer_interval": st.integers(1, 4),
    },
    "gemma2": _gemma | {"attn_logit_softcapping": st.none() | st.sampled_from([0.5, 3.0])},
    "gemma3_text": _gemma | {"sliding_window_pattern": st.integers(1, 3), "rope_local_base_freq": st.just(100.0)},
    "phi3": {"sliding_window": st.none() | _windows, "original_max_position_embeddings": st.sampled_from([32, 64])},
}  # fmt: skip
WITH_HEAD_DIM = ("qwen3", "gemma2", "gemma3_text")
WITH_KV_HEADS = ("gemma2", "gemma3_text")
ODD: list[dict[str, Any]] = [
    {"attention_bias": True}, {"mlp_bias": True}, {"hidden_act": "relu"}, {"partial_rotary_factor": 0.5},
    {"use_bidirectional_attention": True}, {"attn_logit_softcapping": 1.0}, {"rope_interleaved": True},
    {"logit_scale": 0.5}, {"hidden_activation": "gelu"}, {"head_dim": 7}, {"sliding_window": 3},
    {"layer_types": ["sliding_attention"] * 4}, {"layer_types": ["chunked_attention"]}, {"rope_theta": 7.0},
]  # fmt: skip


@st.composite
def rotary(draw: Draw, kind: str, head_dim: int) -> dict[str, Any]:
    """The keys for rotary positions: the older form or the newer one."""
    theta = draw(st.sampled_from([None, 100.0, 10_000.0]))
    types = ["default", "longrope"] if kind == "phi3" else [*ROTARY, "default"]
    name = draw(st.sampled_from([*types, "none"]))
    if draw(st.integers(0, 9)) == 0:
        name = draw(st.sampled_from(sorted(REFUSED)))
    of_theta = {} if theta is None else {"rope_theta": theta}
    share = draw(st.sampled_from([1.0, 0.5])) if kind == "phi3" else 1.0
    of_share = {} if share == 1.0 else {"partial_rotary_factor": share}
    if name == "none":
        return of_theta | of_share
    values: dict[str, Any] = {**(ROTARY | REFUSED).get(name, {})}
    if name == "longrope":
        count = int(head_dim * share) // 2
        factors = st.lists(st.sampled_from([1.0, 1.5, 4.0]), min_size=count, max_size=count)
        values |= {"short_factor": draw(factors), "long_factor": draw(factors)}
        values |= draw(st.sampled_from([{}, {"factor": 8.0}, {"attention_factor": 0.8}]))
    if name == "yarn":
        values |= {key: YARN[key] for key in draw(st.sets(st.sampled_from(sorted(YARN))))}
    if draw(st.booleans()):
        of_type = {draw(st.sampled_from(["type", "rope_type"])): name}
        return of_theta | of_share | {"rope_scaling": of_type | values}
    parameters = {"rope_type": name} | values | of_theta | of_share
    if kind != "gemma3_text":
        return {"rope_parameters": parameters}
    local = {"rope_type": "default", "rope_theta": 50.0}
    return {"rope_parameters": {"full_attention": parameters, "sliding_attention": local}}


def save(content: dict[str, Any], folder: Path, seed: int) -> transformers.PreTrainedModel | None:
    """Write a checkpoint with random weights, which is loaded again; None when `transformers` refuses it.

    The weights are in one file or several, in fp32 or bf16.
    """
    path = folder / "config.json"
    folder.mkdir()
    path.write_text(json.dumps(content))
    try:
        config = transformers.AutoConfig.from_pretrained(folder)
        made = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        made(torch.zeros(1, 30, dtype=torch.long))
    except Exception:  # of any kind: a configuration may be wrong in any way
        return None
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim == 2:
                weight.copy_(noise * (0.5 if "embed" in name else weight.shape[1] ** -0.5))
            else:
                weight.add_(noise, alpha=0.2)
    made = made.bfloat16() if seed % 3 == 0 else made
    made.save_pretrained(folder, max_shard_size="20KB" if seed % 2 else "1GB")
    path.write_text(json.dumps(content))
    return read(folder)


def read(folder: Path) -> transformers.PreTrainedModel:
    """The model of a folder as `transformers` loads it, in fp32."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval()
