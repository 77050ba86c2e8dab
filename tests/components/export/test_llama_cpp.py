"""llama.cpp reads what is exported as we do. Run where llama-cpp-python is installed: docs/export.md."""

import json
from pathlib import Path

import pytest

from components.core.errors import BadSettings
from components.export import exporting


def export(package: Path, target: Path, data: Path, quantize: exporting.Type | None = None) -> exporting.Exported:
    return exporting.export(package, "gguf", target, name="tiny-1", prepared=data, texts=200, quantize=quantize)


def test_it_is_asked_for_where_it_is_missing(
    tiny_package: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(exporting.NEEDED, "gguf", ("gguf", "nobody_has_this"))
    with pytest.raises(BadSettings, match="gguf is written and proved with nobody_has_this"):
        export(tiny_package, tmp_path / "out", tiny_data)


def test_gguf_is_proved(tiny_package: Path, tiny_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    made = export(tiny_package, tmp_path / "out", tiny_data)
    assert set(made.comparisons) == {"tiny-1-f32.gguf", "tiny-1-f16.gguf"}
    exact = made.comparisons["tiny-1-f32.gguf"]
    assert exact.answers.equal + exact.answers.ties == exact.answers.compared > 0
    assert exact.largest_difference < 1e-2
    proof = json.loads((made.folder / "proof.json").read_text())
    assert set(proof["sha256"]) == {"tiny-1-f32.gguf", "tiny-1-f16.gguf", "Modelfile"}
    assert (made.folder / "Modelfile").read_text().startswith("FROM ./tiny-1-f16.gguf\nTEMPLATE")


@pytest.mark.parametrize("kind", ["q8_0", "q4_k_m"])
def test_rounded_weights_have_the_same_tokens(
    kind: exporting.Type, tiny_package: Path, tiny_data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("llama_cpp")
    made = export(tiny_package, tmp_path / "out", tiny_data, kind)
    assert sorted(file.name for file in made.folder.iterdir()) == ["Modelfile", "proof.json", f"tiny-1-{kind}.gguf"]
    assert made.comparisons[f"tiny-1-{kind}.gguf"].change != 0
