"""A tokenizer is written with the pre-tokenizer that splits as it does, or refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import BadSettings
from components.export import gguf_vocabulary
from components.tokenizer.fast import PATTERNS
from components.tokenizer.tokenizer import Tokenizer


def changed(package: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a package with another tokenizer.json."""
    shutil.copytree(package, target)
    content = json.loads((target / "tokenizer.json").read_text())
    change(content)
    (target / "tokenizer.json").write_text(json.dumps(content))
    return target


def split(pattern: str) -> dict[str, Any]:
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    step = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [step, level]}


def test_ours_is_gpt_2(tiny_package: Path) -> None:
    found, tokenizer = gguf_vocabulary.read(tiny_package, 280), Tokenizer.load(tiny_package)
    assert (found.pre, found.starts, found.unused) == ("gpt-2", False, frozenset())
    assert found.names[found.end] == "<|im_end|>"
    assert found.special == frozenset(tokenizer.special_names)
    assert all(left in found.names and right in found.names for left, right in map(str.split, found.merges))


@pytest.mark.parametrize(
    ("pattern", "ignore_merges", "name"),
    [(PATTERNS[0], False, "qwen2"), (PATTERNS[1], False, "smaug-bpe"), (PATTERNS[1], True, "llama-bpe")],
)
def test_those_of_others_have_names_too(
    pattern: str, ignore_merges: bool, name: str, tiny_package: Path, tmp_path: Path
) -> None:
    def change(content: dict[str, Any]) -> None:
        content["pre_tokenizer"] = split(pattern)
        content["model"]["ignore_merges"] = ignore_merges

    assert gguf_vocabulary.read(changed(tiny_package, tmp_path / "package", change), 280).pre == name


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda content: content.update(normalizer={"type": "NFC"}), r"normalises texts \(NFC\)"),
        (lambda content: content.update(pre_tokenizer=split(r"\d+")), "splits no text as the pre-tokenizer"),
        (lambda content: content["model"].update(byte_fallback=True), "another kind than byte-level BPE"),
        (
            lambda content: content["added_tokens"][0].update(content="#tag", special=False),
            "added tokens such as '#tag'",
        ),
    ],
)
def test_what_llama_cpp_splits_otherwise_is_refused(
    change: Callable[[dict[str, Any]], None], reason: str, tiny_package: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadSettings, match=reason):
        gguf_vocabulary.read(changed(tiny_package, tmp_path / "package", change), 280)
