"""Adapters in PEFT's format: PEFT itself gives the same logits, and the base is the one that they were trained on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from components.core.errors import BadData
from components.model import adapters, hf, lora
from components.model.folder import ADAPTER, ADAPTER_CONFIG
from components.model.interface import LanguageModel
from tests.components.support import shapes
from tests.components.support.adapted import SETTINGS, make, randomize
from tests.components.support.shapes import tokens


@pytest.mark.parametrize("targets", ["all", ("v_proj", "q_proj"), ("up_proj", "k_proj"), ("o_proj", "down_proj")])
@pytest.mark.parametrize("qk_norm", [True, False])
def test_peft_gives_the_same_logits(tmp_path: Path, targets: str, qk_norm: bool) -> None:
    from peft import PeftModel

    config = shapes.config(**shapes.DECODER | {"qk_norm": qk_norm})
    ours = make(tmp_path, config, replace(SETTINGS, targets=targets))
    base = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens()), theirs(tokens()).logits, atol=1e-4, rtol=0)
        torch.testing.assert_close(hf.load(tmp_path / "adapter")(tokens()), ours(tokens()), atol=1e-4, rtol=0)
        merged = theirs.merge_and_unload()
        torch.testing.assert_close(hf.load(tmp_path / "adapter")(tokens()), merged(tokens()).logits, atol=1e-4, rtol=0)


def test_peft_gives_the_same_logits_of_an_encoder_decoder(tmp_path: Path) -> None:
    from peft import PeftModel

    ours = make(tmp_path, shapes.config(**shapes.ORIGINAL))
    base = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "base")
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    source = tokens(length=11, seed=2)
    with torch.no_grad():
        expected = theirs(input_ids=source, decoder_input_ids=tokens()).logits
        torch.testing.assert_close(ours(tokens(), memory_BSC=ours.encode(source)), expected, atol=1e-4, rtol=0)


def test_the_head_for_labels_is_part_of_the_adapter(tmp_path: Path) -> None:
    from peft import PeftModel

    labels = ("O", "ANSWER", "正面")
    ours = make(tmp_path, shapes.config(**shapes.ENCODER), labels=labels)
    base = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "base", num_labels=len(labels))
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens()), theirs(tokens()).logits, atol=1e-4, rtol=0)
        torch.testing.assert_close(hf.load(tmp_path / "adapter")(tokens()), ours(tokens()), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", ["encoder_decoder", "ngrams"])
def test_a_model_that_transformers_lacks_has_adapters_too(tmp_path: Path, shape: str) -> None:
    ours = make(tmp_path, shapes.config(**shapes.ALL[shape]))
    weights = hf.load(tmp_path / "adapter").state_dict()
    lora.merge(ours)
    for name, weight in ours.state_dict().items():
        torch.testing.assert_close(weights[name], weight, atol=1e-6, rtol=0)


def test_the_window_is_that_of_the_adapter(tmp_path: Path) -> None:
    make(tmp_path, shapes.config(**shapes.DECODER), max_sequence_length=64)
    assert hf.load(tmp_path / "adapter").config.max_sequence_length == 64


def test_another_base_is_refused(tmp_path: Path) -> None:
    config = shapes.config(**shapes.DECODER)
    make(tmp_path, config)
    hf.save(shapes.model(config, seed=5), tmp_path / "base")
    with pytest.raises(BadData, match=r"adapter of weights with the sha256 \w{64}, but .*base has \w{64}"):
        hf.load(tmp_path / "adapter")
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(BadData, match=r"adapter of the model in .*base, which is gone: put it back"):
        hf.load(tmp_path / "adapter")


def test_an_adapter_of_another_kind_is_refused(tmp_path: Path) -> None:
    make(tmp_path, shapes.config(**shapes.DECODER))
    path = tmp_path / "adapter" / ADAPTER_CONFIG
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"use_dora": True}))
    with pytest.raises(BadData, match=r"an adapter with use_dora = True, which is not supported"):
        hf.load(tmp_path / "adapter")
    path.write_text(json.dumps(content))
    weights = tmp_path / "adapter" / ADAPTER
    with safe_open(weights, "pt") as file:
        pinned = file.metadata()
    more = {"base_model.model.model.embed_tokens.lora_embedding_A": torch.zeros(3, 97)}
    save_file(load_file(weights) | more, weights, metadata=pinned)
    with pytest.raises(BadData, match=r"has base_model\.model\.model\.embed_tokens\.lora_embedding_A too many"):
        hf.load(tmp_path / "adapter")
    save_file(load_file(weights), weights)
    with pytest.raises(BadData, match=r"does not say which weights it adapts: its header lacks base_sha256"):
        hf.load(tmp_path / "adapter")


MODULES = {
    "bert": {
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
        "max_position_embeddings": 48,
    },
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 48},
    "t5": {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0},
}  # fmt: skip
CLASSES = {"bert": "AutoModelForMaskedLM", "gpt2": "AutoModelForCausalLM", "t5": "AutoModelForSeq2SeqLM"}


def module(kind: str, folder: Path, labels: tuple[str, ...] = ()) -> LanguageModel:
    """A module of `transformers` with trained adapters, and the folders `base` and `adapter`."""
    config = transformers.AutoConfig.for_model(kind, **MODULES[kind], vocab_size=shapes.VOCAB_SIZE, pad_token_id=0)
    torch.manual_seed(0)
    getattr(transformers, CLASSES[kind]).from_config(config).save_pretrained(folder / "base")
    (folder / "base/tokenizer_config.json").write_text('{"model_max_length": 48}')
    model = hf.load(folder / "base")
    if labels:
        model = model.labelled(labels, seed=0)
    lora.attach(model, SETTINGS, seed=1)
    randomize(model)
    hf.save_config(model, folder / "adapter")
    shutil.copyfile(folder / "base/tokenizer_config.json", folder / "adapter/tokenizer_config.json")
    adapters.write(model, SETTINGS, folder / "base", folder / "adapter")
    return model


@pytest.mark.parametrize(
    ("kind", "targets"),
    [
        ("bert", {"query", "key", "value", "dense"}),
        ("gpt2", {"c_attn", "c_proj", "c_fc"}),
        ("t5", {"q", "k", "v", "o", "wi", "wo"}),
    ],
)
@pytest.mark.filterwarnings("error:.*missing adapter keys")
def test_modules_of_transformers_have_adapters_that_peft_loads(tmp_path: Path, kind: str, targets: set[str]) -> None:
    from peft import PeftModel

    ours = module(kind, tmp_path)
    assert set(lora.targets(hf.load(tmp_path / "base"))) == targets
    base = getattr(transformers, CLASSES[kind]).from_pretrained(tmp_path / "base")
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    source = (tokens(length=11, seed=2), None) if kind == "t5" else (None, None)
    inputs = {"input_ids": tokens()} if kind != "t5" else {"input_ids": source[0], "decoder_input_ids": begun(tokens())}
    with torch.no_grad():
        logits = ours.logits(tokens(), None, *source)
        torch.testing.assert_close(logits, theirs(**inputs).logits, atol=1e-4, rtol=0)
        torch.testing.assert_close(
            hf.load(tmp_path / "adapter").logits(tokens(), None, *source), logits, atol=1e-4, rtol=0
        )


def begun(tokens_BT: torch.Tensor) -> torch.Tensor:
    """The targets after the first token of the decoder."""
    return torch.cat([torch.zeros_like(tokens_BT[:, :1]), tokens_BT[:, 1:]], dim=1)


def test_a_module_with_labels_has_its_head_in_the_adapter(tmp_path: Path) -> None:
    from peft import PeftModel

    ours = module("bert", tmp_path, labels=("O", "PERSON"))
    assert set(lora.head(ours)) == {"classifier.weight", "classifier.bias"}
    base = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path / "base", num_labels=2)
    theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(tokens()), theirs(tokens()).logits, atol=1e-4, rtol=0)
        loaded = hf.load(tmp_path / "adapter")
        torch.testing.assert_close(loaded.logits(tokens()), ours.logits(tokens()), atol=1e-4, rtol=0)
    assert loaded.config.labels == ("O", "PERSON")


def test_of_a_module_only_adapters_and_head_are_trained(tmp_path: Path) -> None:
    ours = module("bert", tmp_path, labels=("O", "PERSON"))
    segments = (torch.arange(shapes.LENGTH) // 20)[None].expand(2, -1)
    ours.loss(tokens(), tokens() % 2, segments, z_loss=1e-3).backward()
    trained = {name.removeprefix("module.") for name, weight in ours.named_parameters() if weight.grad is not None}
    assert trained == set(lora.head(ours)) | {
        name.removeprefix("module.") for name, _ in ours.named_parameters() if ".adapters." in name
    }
    assert all(weight.grad.any() for weight in ours.parameters() if weight.grad is not None)
