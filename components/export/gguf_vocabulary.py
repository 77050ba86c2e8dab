"""A byte-level BPE tokenizer as the metadata of GGUF, for the pre-tokenizers of llama.cpp that split as it does."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.errors import BadSettings
from components.tokenizer.tokenizer import Tokenizer

_BEFORE_DIGITS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_BEHIND_DIGITS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {  # a pattern, and whether a word that is a token needs no merges: the pre-tokenizer with both
    (_BEFORE_DIGITS + r"\p{N}" + _BEHIND_DIGITS, False): "qwen2",
    (_BEFORE_DIGITS + r"\p{N}{1,3}" + _BEHIND_DIGITS, False): "smaug-bpe",
    (_BEFORE_DIGITS + r"\p{N}{1,3}" + _BEHIND_DIGITS, True): "llama-bpe",
}
FAULTS = ("byte_fallback", "dropout", "continuing_subword_prefix", "end_of_word_suffix")


@dataclass(frozen=True)
class Vocabulary:
    """What GGUF says about a tokenizer."""

    pre: str  # the name of the pre-tokenizer
    names: list[str]  # of the tokens, by id
    special: frozenset[int]
    unused: frozenset[int]  # ids that the model has and the tokenizer does not
    merges: list[str]
    start: int
    end: int  # of an answer
    padding: int
    starts: bool  # whether `start` stands before each text
    chat_template: str

    def write(self, writer: Any) -> None:
        """Add it to a `GGUFWriter`."""
        from gguf import TokenType

        kinds = dict.fromkeys(self.special, TokenType.CONTROL) | dict.fromkeys(self.unused, TokenType.UNUSED)
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.names)
        writer.add_token_types([kinds.get(token, TokenType.NORMAL) for token in range(len(self.names))])
        writer.add_token_merges(self.merges)
        writer.add_bos_token_id(self.start)
        writer.add_eos_token_id(self.end)
        writer.add_pad_token_id(self.padding)
        writer.add_add_bos_token(self.starts)
        writer.add_chat_template(self.chat_template)


def read(folder: Path, size: int) -> Vocabulary:
    """The vocabulary of a model with `size` tokens. Raises `BadSettings` for one that llama.cpp does not have."""
    tokenizer = Tokenizer.load(folder)
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    special = tokenizer.special_names
    pre = _pre_tokenizer(content, special)
    found = {token: name for name, token in content["model"]["vocab"].items()} | dict(special)
    unused = frozenset(range(size)) - found.keys()
    start, end = tokenizer.frame([])[:1], tokenizer.frame([])[1:]
    if end:
        raise BadSettings(
            f"gguf: the tokenizer frames a text by {tokenizer.frame([])}, which llama.cpp does not: export onnx"
        )
    return Vocabulary(
        pre=pre,
        names=[found.get(token, f"[PAD{token}]") for token in range(size)],
        special=frozenset(special),
        unused=unused,
        merges=[merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]],
        start=tokenizer.start_of_text,
        end=tokenizer.end_of_turn,
        padding=tokenizer.padding,
        starts=bool(start),
        chat_template=tokenizer.template.source,
    )


def _pre_tokenizer(content: Mapping[str, Any], special: Mapping[int, str]) -> str:
    model, step = content["model"], content["pre_tokenizer"]
    if model["type"] != "BPE" or any(model.get(name) for name in FAULTS):
        raise BadSettings(f"gguf: the tokenizer is a {model['type']} of another kind than byte-level BPE: export onnx")
    if content["normalizer"] is not None:
        kind = content["normalizer"]["type"]
        raise BadSettings(f"gguf: the tokenizer normalises texts ({kind}), which llama.cpp does not: export onnx")
    if text := [token["content"] for token in content["added_tokens"] if token["id"] not in special]:
        raise BadSettings(f"gguf: texts become added tokens such as {text[0]!r}, which llama.cpp does not: export onnx")
    short = bool(model.get("ignore_merges"))
    match step:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True} if not short:
            return "gpt-2"
        case {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, last]} if not short:
            if last["type"] == "ByteLevel" and not last["add_prefix_space"] and last["use_regex"]:
                return "smollm"
        case {"type": "Sequence", "pretokenizers": [{"type": "Split"} as split, {"type": "ByteLevel"} as last]}:
            plain = split["behavior"] == "Isolated" and not split["invert"]
            plain &= not last["add_prefix_space"] and not last["use_regex"]
            if plain and (pre := SPLITS.get((split["pattern"].get("Regex"), short))):
                return pre
    raise BadSettings("gguf: llama.cpp splits no text as the pre-tokenizer of tokenizer.json does: export onnx")
