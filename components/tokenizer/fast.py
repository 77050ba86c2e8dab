"""gigatoken, for those tokenizers that it runs exactly as `tokenizers` does.

Which those are was measured on random text (tests/components/tokenizer/test_fast.py): byte-level BPE that splits as
GPT-2, Llama 3 or Qwen do, with or without NFC before it, and no added tokens that text may contain.
"""

import json
from collections.abc import Mapping
from typing import Any

import gigatoken

# Of Llama 3 and Qwen; a pattern is the first, then that of digits, then the last.
BEFORE_DIGITS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
BEHIND_DIGITS = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
PATTERNS = tuple(BEFORE_DIGITS + digits + BEHIND_DIGITS for digits in (r"\p{N}", r"\p{N}{1,3}"))


def load(content: Mapping[str, Any], special: Mapping[str, int]) -> gigatoken.Tokenizer | None:
    """The tokenizer in gigatoken, without special tokens; None when it is of another kind."""
    if not is_known(content, special):
        return None
    return gigatoken.Tokenizer.from_json(json.dumps({**content, "added_tokens": [], "post_processor": None}))


def is_known(content: Mapping[str, Any], special: Mapping[str, int]) -> bool:
    """Whether the content of a `tokenizer.json` is of a form that was measured."""
    model = content["model"]
    odd = ("byte_fallback", "ignore_merges", "dropout", "continuing_subword_prefix", "end_of_word_suffix", "unk_token")
    return (
        model["type"] == "BPE"
        and not any(model.get(name) for name in odd)
        and (content["normalizer"] or {"type": "NFC"})["type"] == "NFC"
        and _splits_as_known(content["pre_tokenizer"])
        and all(token["content"] in special for token in content["added_tokens"])
    )


def _splits_as_known(pre_tokenizer: Mapping[str, Any] | None) -> bool:
    match pre_tokenizer:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return True
        case {"type": "Sequence", "pretokenizers": [{"type": "Split"} as split, {"type": "ByteLevel"} as level]}:
            plain = not level["add_prefix_space"] and not level["use_regex"]
            isolated = split["behavior"] == "Isolated" and not split["invert"]
            return plain and isolated and split["pattern"].get("Regex") in PATTERNS
    return False
