"""Our models in the forms of `transformers`: the same logits and gradients, out and in again."""

import json
from pathlib import Path

import pytest
import torch
import transformers

from components.core.errors import BadData
from components.model import formats, hf
from components.model.transformer import Transformer
from tests.components.support.shapes import DECODER, ENCODER, ENCODER_DECODER, NGRAMS, ORIGINAL, config, model, tokens

FORMS = {
    "qwen3": (DECODER, "AutoModelForCausalLM"),
    "qwen3, untied, every head its keys": (
        DECODER | {"num_kv_heads": 4, "tie_embeddings": False},
        "AutoModelForCausalLM",
    ),
    "qwen3, one head of keys": (DECODER | {"num_kv_heads": 1, "head_dim": 32}, "AutoModelForCausalLM"),
    "llama": (DECODER | {"qk_norm": False}, "AutoModelForCausalLM"),
    "eurobert": (ENCODER, "AutoModelForMaskedLM"),
    "marian": (ORIGINAL, "AutoModelForSeq2SeqLM"),
}


@pytest.mark.parametrize("name", list(FORMS))
def test_logits_and_gradients_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    changes, kind = FORMS[name]
    ours = model(config(**changes))
    hf.save(ours, tmp_path)
    assert hf.load(tmp_path).config == ours.config
    theirs = getattr(transformers, kind).from_pretrained(tmp_path)
    assert theirs.config.model_type == name.partition(",")[0]
    batch, source = tokens(), tokens(length=11, seed=2)
    if ours.config.architecture == "encoder_decoder":
        logits = ours(batch, memory_BSC=ours.encode(source))
        expected = theirs(input_ids=source, decoder_input_ids=batch).logits
        ours_loss = ours.loss(batch[:, :-1], batch[:, 1:], None, source)
        seen = theirs(input_ids=source, decoder_input_ids=batch[:, :-1]).logits
    else:
        logits, expected = ours(batch), theirs(batch).logits
        ours_loss = ours.loss(batch[:, :-1], batch[:, 1:])
        seen = theirs(batch[:, :-1]).logits
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=0)
    ours_loss.backward()
    torch.nn.functional.cross_entropy(seen.flatten(0, 1), batch[:, 1:].flatten(), reduction="sum").backward()
    check_gradients(ours, theirs)


def check_gradients(ours: Transformer, theirs: torch.nn.Module) -> None:
    form = formats.of(ours.config)
    assert form is not None
    gradients = dict(ours.named_parameters())
    reference = {name: parameter.grad for name, parameter in theirs.named_parameters(remove_duplicate=False)}
    for name, parts in form.names(ours.config).items():
        expected = torch.cat([reference[part] for part in parts])
        torch.testing.assert_close(gradients[name].grad, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    "changes", [DECODER, ENCODER, ENCODER_DECODER, ORIGINAL, NGRAMS, DECODER | {"logit_soft_cap": 5.0}]
)
def test_a_folder_holds_the_whole_model(tmp_path: Path, changes: dict[str, object]) -> None:
    ours = model(config(**changes))
    hf.save(ours, tmp_path)
    loaded = hf.load(tmp_path)
    assert loaded.config == ours.config
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), loaded.parameters(), strict=True))


@pytest.mark.parametrize("changes", [{"logit_soft_cap": 5.0}, NGRAMS])
def test_what_transformers_has_no_form_for_does_not_pass_for_another(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    hf.save(model(config(**changes)), tmp_path)
    with pytest.raises(ValueError, match="lmforge"):
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path)


@pytest.mark.parametrize("kind", ["Qwen3", "Llama"])
def test_a_checkpoint_that_transformers_wrote_loads(tmp_path: Path, kind: str) -> None:
    sizes = {
        "vocab_size": 97, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 16, "intermediate_size": 96, "max_position_embeddings": 64, "tie_word_embeddings": kind == "Llama",
    }  # fmt: skip
    theirs = getattr(transformers, f"{kind}ForCausalLM")(getattr(transformers, f"{kind}Config")(**sizes)).eval()
    theirs.save_pretrained(tmp_path, max_shard_size="40KB")  # in several files, as large models come
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    torch.testing.assert_close(hf.load(tmp_path)(tokens()), theirs(tokens()).logits, atol=1e-4, rtol=0)


def test_labels_go_out_and_in(tmp_path: Path) -> None:
    from dataclasses import replace

    ours = model(replace(config(**ENCODER), labels=("O", "ANSWER", "正面")))
    hf.save(ours, tmp_path)
    theirs = transformers.AutoModelForTokenClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(ours(tokens()), theirs(tokens()).logits, atol=1e-4, rtol=0)
    assert theirs.config.id2label == {0: "O", 1: "ANSWER", 2: "正面"}
    assert hf.load(tmp_path).config == ours.config


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"model_type": "gpt5"}, r"a model of the type 'gpt5', which transformers .* does not run"),
        ({"model_type": "gemma3"}, r"a gemma3, which reads more than text"),
        ({"model_type": "mamba"}, r"a mamba, which has no keys and values to keep"),
        ({"attention_bias": True}, r"lack .*bias"),
        ({"logit_scale": 0.5}, r"a qwen3 with logit_scale = 0.5, which such models do not have"),
        ({"quantization_config": {"bits": 4}}, r"a qwen3 with quantization_config = {'bits': 4}"),
    ],
)
def test_what_nobody_runs_on_text_is_refused(tmp_path: Path, change: dict[str, object], line: str) -> None:
    hf.save(model(config(**DECODER)), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadData, match=line):
        hf.load(tmp_path)


def test_a_folder_without_its_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"holds no config\.json"):
        hf.load(tmp_path)
    hf.save(model(config(**DECODER)), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(BadData, match=r"holds no model\.safetensors"):
        hf.load(tmp_path)
