"""A tokenizer of `tokenizers` for which no text contains a special token.

Its own setting `encode_special_tokens` is not enough: a special token often stands in the model's vocabulary too, where
a Unigram finds it in text. So each gets another name, which no text contains.
docs/decisions.md, "Text never becomes special tokens"
"""

import json
from collections.abc import Mapping
from typing import Any

import tokenizers

from components.core.errors import BadData
from components.tokenizer.chat_template import control_name


def vocabulary(content: Mapping[str, Any]) -> Mapping[str, int]:
    """The ids of the pieces in the content of a `tokenizer.json`, which lists those of a Unigram with their scores."""
    pieces = content["model"]["vocab"]
    return pieces if isinstance(pieces, Mapping) else {piece: place for place, (piece, _) in enumerate(pieces)}


def renamed(content: Mapping[str, Any], special: Mapping[str, int]) -> dict[str, Any]:
    """The content of a `tokenizer.json` with other names for special tokens, and no post-processor that sets some."""
    names = {name: control_name(token) for name, token in special.items()}
    model = dict(content["model"])
    pieces = model["vocab"]
    if isinstance(pieces, Mapping):
        model["vocab"] = {names.get(piece, piece): token for piece, token in pieces.items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in pieces]
    if model.get("unk_token"):
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    added = [_renamed(token, names) for token in content["added_tokens"]]
    limits = {"truncation": None, "padding": None, "post_processor": None}
    return {**content, **limits, "model": model, "added_tokens": added}


def load(content: Mapping[str, Any], special: Mapping[str, int]) -> tokenizers.Tokenizer:
    """The tokenizer with renamed special tokens. Raises `BadData` when it cannot be loaded with its ids."""
    try:
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(renamed(content, special)))
    except Exception as error:  # `tokenizers` raises no other type
        raise BadData(f"`tokenizers` does not load tokenizer.json: {error}") from None
    for name, token in special.items():
        if tokenizer.token_to_id(control_name(token)) != token:
            raise BadData(f"tokenizer.json gives the special token {name} the id {token}, and `tokenizers` another one")
    return tokenizer


def _renamed(token: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    if token["content"] not in names:
        return dict(token)
    return {**token, "content": names[token["content"]], "normalized": False, "special": True}
