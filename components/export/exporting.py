"""Writes an export of a package with its proof: files that hold what was checked, or nothing.

`proof.json` has the sha256 of each file and the comparison with what lmforge computes.
"""

import importlib.metadata
import importlib.util
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.core.errors import BadSettings
from components.core.files import sha256, write_json
from components.data.tables.shards import replacing
from components.export import gguf_model, modelfile, onnx_graph, quantization
from components.export.material import Material, collect
from components.export.proof import EXACT, HALF, Comparison, check, compare
from components.export.readers import ExportReader, Ours, WithLlamaCpp, WithOnnxRuntime, WithTransformers
from components.model import formats, hf
from components.model.config import Config, ModelConfig
from components.model.folder import is_adapter
from components.model.transformer import Transformer

Format = Literal["gguf", "onnx", "safetensors"]
Type = quantization.Type
NEEDED = {"gguf": ("gguf", "llama_cpp"), "onnx": ("onnxscript", "onnxruntime"), "safetensors": ()}
PROOF = "proof.json"
WINDOW = 512  # tokens of a text that is compared; a longer window takes long, and shows no more
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "generation_config.json")


@dataclass(frozen=True)
class Exported:
    """A written export: its folder, and what was found about each of its model files."""

    folder: Path
    comparisons: dict[str, Comparison]


def export(
    package: Path, kind: Format, target: Path, *, name: str, prepared: Path, texts: int, quantize: Type | None
) -> Exported:
    """Write the package in a format to the folder `target`, which is replaced when all is written and proved.

    name: of the version, as `lmforge-assistant-3`. prepared: the prepared data, whose test documents are compared; it
    may be missing. texts: how many to compare. Raises `BadSettings` for a model that the format does not hold exactly
    or a missing library, and `BadData` when a library reads it otherwise than we do.
    """
    if quantize is not None and kind != "gguf":
        raise BadSettings(f"--quantize {quantize} is for gguf: {kind} holds the weights as they are")
    _check_model(hf.read_config(package), kind)
    _check_libraries(kind)
    ours = Ours(package)
    window = min(WINDOW, ours.model.config.max_sequence_length)
    with replacing(target) as folder:
        model = _Written(package, folder, name, ours, collect(prepared, ours.tokenizer, texts, window))
        if kind == "gguf":
            comparisons = model.gguf() if quantize is None else model.quantized(quantize)
        else:
            comparisons = model.onnx() if kind == "onnx" else model.safetensors()
        files = {file.name: sha256(file) for file in sorted(folder.iterdir()) if file.is_file()}
        write_json(folder / PROOF, _proof(name, kind, files, comparisons))
    return Exported(target, comparisons)


@dataclass(frozen=True)
class _Written:
    """A package on its way into a folder; each method writes a format, and returns what was found by file."""

    package: Path
    folder: Path
    name: str
    ours: Ours
    material: Material

    def gguf(self) -> dict[str, Comparison]:
        """GGUF in f32, which computes the same, and in f16, which is half as large."""
        comparisons = {}
        for half in (False, True):
            file = self.folder / f"{self.name}-{'f16' if half else 'f32'}.gguf"
            self._write_gguf(file, half=half)
            comparisons[file.name] = self._read_gguf(file, HALF if half else EXACT)
        self._write_modelfile(file)
        return comparisons

    def quantized(self, kind: Type) -> dict[str, Comparison]:
        """GGUF in the type `kind`, made by llama.cpp of the weights in f32."""
        file = self.folder / f"{self.name}-{kind}.gguf"
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            exact = Path(scratch) / "f32.gguf"
            self._write_gguf(exact, half=False)
            quantization.quantize(exact, file, kind)
        comparisons = {file.name: self._read_gguf(file, None)}
        self._write_modelfile(file)
        return comparisons

    def onnx(self) -> dict[str, Comparison]:
        """ONNX in f32, beside the tokenizer."""
        file = self.folder / "model.onnx"
        onnx_graph.write(self._transformer(), file)
        self._copy(TOKENIZER)
        return {file.name: self._compare(WithOnnxRuntime(file), file.name, EXACT)}

    def safetensors(self) -> dict[str, Comparison]:
        """The package as it is; of an adapter the merged weights, since others load it otherwise."""
        if is_adapter(self.package):
            hf.save(self.ours.model, self.folder)
            self._copy((*TOKENIZER, "README.md"))
        else:
            shutil.copytree(self.package, self.folder, dirs_exist_ok=True)
        file = "model.safetensors"
        return {file: self._compare(WithTransformers(self.folder), file, EXACT)}

    def _write_gguf(self, file: Path, *, half: bool) -> None:
        gguf_model.write(self._transformer(), self.package, self.name, file, half=half)

    def _read_gguf(self, file: Path, most: float | None) -> Comparison:
        reader = WithLlamaCpp(file, self.material.window)
        try:
            return self._compare(reader, file.name, most)
        finally:
            reader.close()

    def _write_modelfile(self, file: Path) -> None:
        text = modelfile.write(self.package, file.name, self.ours.model.config.max_sequence_length)
        (self.folder / "Modelfile").write_text(text, encoding="utf-8")

    def _compare(self, theirs: ExportReader, what: str, most: float | None) -> Comparison:
        comparison = compare(self.ours, theirs, self.material)
        check(comparison, what, most)
        return comparison

    def _transformer(self) -> Transformer:
        assert isinstance(self.ours.model, Transformer)  # or it was refused
        return self.ours.model

    def _copy(self, names: Sequence[str]) -> None:
        for name in names:
            shutil.copyfile(self.package / name, self.folder / name)


def _check_model(config: Config, kind: Format) -> None:
    """Raise `BadSettings` for a model that a format does not hold."""
    if config.architecture != "decoder":
        raise BadSettings(f"the model is of the architecture {config.architecture}, and only a decoder is exported")
    if not isinstance(config, ModelConfig):
        if kind != "safetensors":
            raise BadSettings(f"the model runs in transformers, not in our layers: {kind} is not written by us")
    elif kind == "gguf":
        gguf_model.architecture(config)
    elif kind == "safetensors" and formats.of(config) is None:
        raise BadSettings("safetensors: no other library loads a model in a form of our own: export onnx")


def _check_libraries(kind: Format) -> None:
    """Raise `BadSettings` when a library that writes or reads the format is not installed."""
    missing = [name.replace("llama_cpp", "llama-cpp-python") for name in NEEDED[kind] if not _is_installed(name)]
    if missing:
        raise BadSettings(
            f"{kind} is written and proved with {' and '.join(missing)}: .venv/bin/pip install {' '.join(missing)}"
        )


def _is_installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _proof(name: str, kind: Format, files: dict[str, str], comparisons: dict[str, Comparison]) -> dict[str, object]:
    readers = {"gguf": "llama-cpp-python", "onnx": "onnxruntime", "safetensors": "transformers"}
    reader = readers[kind]
    return {
        "model": name,
        "format": kind,
        "sha256": files,
        "read_by": f"{reader} {importlib.metadata.version(reader)}",
        "lmforge": importlib.metadata.version("lmforge"),
        "comparisons": {file: comparison.to_json() for file, comparison in comparisons.items()},
    }


def lines(made: Exported) -> list[str]:
    """What a person wants to know about an export."""
    shown = [f"{made.folder} is proved: {made.folder / PROOF}"]
    for file, one in made.comparisons.items():
        texts = one.texts.values()
        equal, compared = sum(count.equal for count in texts), sum(count.compared for count in texts)
        ties = f", {one.answers.ties} part at a tie" if one.answers.ties else ""
        shown += [
            file,
            f"  token ids     equal in {equal:,} of {compared:,} texts, {one.conversations.equal} of "
            f"{one.conversations.compared} conversations",
            f"  answers       {one.answers.equal} of {one.answers.compared} equal{ties}",
            f"  logits        differ by at most {one.largest_difference:.1e} in {one.logits:,}",
            f"  perplexity    {one.perplexity:.3f}, here {one.our_perplexity:.3f} ({one.change:+.4%})",
        ]
    return shown
