"""A package is exported whole and proved, or nothing of it is."""

import json
import shutil
from pathlib import Path

import onnxruntime
import pytest
import torch

from components.core.errors import BadData, BadSettings
from components.core.files import read_json, sha256
from components.export import exporting, onnx_graph
from components.model import hf
from components.model.folder import is_adapter
from components.tokenizer.chat_template import CHAT_TEMPLATE
from tests.components.support import shapes

# Where a template asks for today, ours stands still: docs/decisions.md, "The date of a chat template stands still"
DATED = "{{ strftime_now('%Y') }}" + CHAT_TEMPLATE


def export(package: Path, kind: exporting.Format, target: Path, data: Path) -> exporting.Exported:
    return exporting.export(package, kind, target, name="tiny-1", prepared=data, texts=100, quantize=None)


def test_safetensors_are_the_package(tiny_package: Path, tiny_data: Path, tmp_path: Path) -> None:
    made = export(tiny_package, "safetensors", tmp_path / "out", tiny_data)
    written = read_json(made.folder / "proof.json")
    assert written["sha256"]["model.safetensors"] == sha256(tiny_package / "model.safetensors")
    assert written["read_by"].startswith("transformers ")
    found = written["comparisons"]["model.safetensors"]
    assert found["texts"]["code"]["equal"] == found["texts"]["code"]["compared"] > 0
    assert found["largest_difference"] < 1e-3
    shown = "\n".join(exporting.lines(made))
    assert "equal in 100 of 100 texts" in shown


def test_vllm_and_sglang_find_what_they_read(tiny_package: Path) -> None:
    """The keys that their Qwen3 reads; where one is missing, they take a default of another model."""
    content = read_json(tiny_package / "config.json")
    assert content["architectures"] == ["Qwen3ForCausalLM"]
    read = (
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
        "head_dim", "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta", "attention_bias",
        "tie_word_embeddings", "vocab_size", "dtype",
    )  # fmt: skip
    assert [name for name in read if name not in content] == []
    assert (content["hidden_act"], content["attention_bias"]) == ("silu", False)


def test_an_adapter_is_exported_merged(packages: dict[str, Path], tiny_data: Path, tmp_path: Path) -> None:
    made = export(packages["adapter"], "safetensors", tmp_path / "out", tiny_data)
    assert not is_adapter(made.folder)
    tokens_BT = torch.randint(0, 280, (2, 48), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(
            hf.load(made.folder).logits(tokens_BT), hf.load(packages["adapter"]).logits(tokens_BT)
        )


def test_onnx_is_proved_with_its_runtime(tiny_package: Path, tiny_data: Path, tmp_path: Path) -> None:
    made = export(tiny_package, "onnx", tmp_path / "out", tiny_data)
    assert {file.name for file in made.folder.iterdir()} == {
        "model.onnx", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "proof.json",
    }  # fmt: skip
    assert made.comparisons["model.onnx"].largest_difference < 1e-3


@pytest.mark.slow(reason="a second graph; what a graph has to hold is shown by the one above")
def test_onnx_holds_ngrams_too(tmp_path: Path) -> None:
    model = shapes.model(shapes.config(**shapes.NGRAMS))
    onnx_graph.write(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for rows, length in ((1, 1), (3, shapes.LENGTH)):
        tokens_BT = shapes.tokens(rows, length)
        (found,) = session.run(["logits"], {"input_ids": tokens_BT.numpy()})
        with torch.inference_mode():
            torch.testing.assert_close(torch.from_numpy(found), model.logits(tokens_BT), atol=1e-4, rtol=1e-4)


def test_nothing_is_left_of_an_export_that_is_not_proved(tiny_package: Path, tiny_data: Path, tmp_path: Path) -> None:
    package = shutil.copytree(tiny_package, tmp_path / "package")
    content = json.loads((package / "tokenizer_config.json").read_text())
    (package / "tokenizer_config.json").write_text(json.dumps(content | {"chat_template": DATED}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "earlier").write_text("an earlier export")
    with pytest.raises(BadData, match=r"other token ids in .* conversations"):
        export(package, "safetensors", tmp_path / "out", tiny_data)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["earlier"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out", "package"]


def test_what_a_format_does_not_hold_is_refused(packages: dict[str, Path], tiny_data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="of the architecture encoder_decoder, and only a decoder is exported"):
        export(packages["original"], "onnx", tmp_path / "out", tiny_data)
    hf.save(shapes.model(shapes.config(**shapes.NGRAMS)), tmp_path / "ngrams")
    for kind, reason in (("safetensors", "a form of our own"), ("gguf", r"ngram_rows = \[50, 40\]")):
        with pytest.raises(BadSettings, match=reason):
            export(tmp_path / "ngrams", kind, tmp_path / "out", tiny_data)  # type: ignore[arg-type]
    shutil.rmtree(tmp_path / "ngrams")
    with pytest.raises(BadSettings, match="--quantize q8_0 is for gguf"):
        exporting.export(
            packages["original"], "onnx", tmp_path, name="x", prepared=tiny_data, texts=100, quantize="q8_0"
        )
    assert list(tmp_path.iterdir()) == []
