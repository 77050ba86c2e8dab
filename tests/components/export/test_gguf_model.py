"""What is written as GGUF computes what the model does; what GGUF does not hold is refused with its setting."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gguf import GGUFReader

from components.core.errors import BadSettings
from components.export import gguf_model
from components.model import hf
from components.model.config import ModelConfig, Traits
from components.model.transformer import Transformer
from tests.components.support import shapes

SIZES = {"num_heads": 4, "num_kv_heads": 2, "head_dim": 16}
QWEN3 = {"head_dim": 128}  # which transformers take for granted in a GGUF file of a Qwen3
QWEN2 = Traits(family="qwen2", biased=("qkv",))


def sized(**changes: object) -> ModelConfig:
    """A model with the vocabulary of the tiny tokenizer."""
    traits = changes.pop("traits", Traits())
    built = shapes.settings(**(SIZES | changes)).build(vocab_size=280, max_sequence_length=96)
    return replace(built, traits=traits)


@pytest.mark.parametrize(
    ("changes", "half"),
    [
        pytest.param(QWEN3, False, id="qwen3"),
        pytest.param(QWEN3 | {"tie_embeddings": False, "rope_theta": 5e5}, False, id="qwen3 untied"),
        pytest.param({"qk_norm": False}, False, id="llama"),
        pytest.param({"qk_norm": False, "traits": QWEN2}, False, id="qwen2"),
        pytest.param(QWEN3, True, id="f16"),
    ],
)
def test_transformers_compute_the_same_from_the_file(
    changes: dict[str, object], half: bool, tiny_package: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    model = shapes.model(sized(**changes))
    gguf_model.write(model, tiny_package, "tiny", tmp_path / "tiny.gguf", half=half)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf", dtype=torch.float32)
    tokens_BT = torch.randint(0, 280, (2, 64), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        difference = (model.logits(tokens_BT) - theirs(tokens_BT).logits).abs().max()
    assert difference < (0.1 if half else 1e-4)


def test_the_file_says_what_llama_cpp_reads(tiny_package: Path, tmp_path: Path) -> None:
    model = hf.load(tiny_package)
    assert isinstance(model, Transformer)
    gguf_model.write(model, tiny_package, "tiny-3", tmp_path / "tiny.gguf", half=True)
    reader = GGUFReader(tmp_path / "tiny.gguf")
    said = {name: reader.fields[name].contents() for name in reader.fields}
    assert (said["general.architecture"], said["general.name"]) == ("qwen3", "tiny-3")
    assert (said["qwen3.context_length"], said["qwen3.attention.key_length"]) == (96, 16)
    assert (said["tokenizer.ggml.model"], said["tokenizer.ggml.pre"]) == ("gpt2", "gpt-2")
    assert "<|im_start|>" in said["tokenizer.chat_template"]
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert types["token_embd.weight"] == types["blk.1.attn_q.weight"] == "F16"
    assert types["blk.0.attn_q_norm.weight"] == types["output_norm.weight"] == "F32"
    assert "output.weight" not in types  # tied


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"ngram_rows": (50,)}, r"ngram_rows = \[50\]: train with pretrain.model.ngram_rows left out"),
        ({"positions": "learned"}, "positions = learned: train with pretrain.model.positions rotary"),
        ({"norm": "layer"}, "norm = layer"),
        ({"norm_position": "post"}, "norm_position = post"),
        ({"activation": "geglu"}, "activation = geglu"),
        ({"logit_soft_cap": 30.0}, "logit_soft_cap = 30.0: train with pretrain.model.logit_soft_cap left out"),
        ({"architecture": "encoder_decoder"}, "architecture = encoder_decoder"),
        ({"traits": Traits(family="qwen3", sliding_window=8, sliding_layers=(0,))}, "a qwen3 with sliding_window = 8"),
        ({"qk_norm": False, "traits": Traits(family="llama", biased=("mlp",))}, r"a llama with biased = \['mlp'\]"),
        ({"qk_norm": False, "traits": Traits(family="mistral")}, "a mistral is not written by us"),
    ],
)
def test_what_llama_cpp_does_not_have_is_refused(changes: dict[str, object], setting: str) -> None:
    with pytest.raises(BadSettings, match=setting):
        gguf_model.architecture(sized(**changes))


def test_a_model_with_more_tokens_than_its_tokenizer_has_unused_ones(tiny_package: Path, tmp_path: Path) -> None:
    from components.export import gguf_vocabulary

    shutil.copytree(tiny_package, tmp_path / "package")
    found = gguf_vocabulary.read(tmp_path / "package", 288)
    assert found.unused == frozenset(range(280, 288))
    assert found.names[287] == "[PAD287]"
