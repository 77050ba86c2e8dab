"""Answers that have to be something: JSON by a schema, one of some texts, or what a regular expression matches.

llguidance says which tokens may follow; the engine draws among them.
"""

import json
from collections.abc import Sequence

import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
from torch import Tensor

from components.api.errors import ApiError
from components.api.requests import Generating
from components.core.errors import StageError
from components.tokenizer.tokenizer import Tokenizer


class Constraint:
    """Which tokens may follow those of an answer so far; for one answer, whose tokens come one by one."""

    def __init__(self, matcher: LLMatcher, size: int) -> None:
        self._matcher, self._size = matcher, size
        self._read = 0

    def __call__(self, said: Sequence[int]) -> Tensor:
        """The tokens that may follow, bool [V]. Raises `StageError` when the grammar has become too complex."""
        for token in said[self._read :]:
            self._matcher.consume_token(token)
        self._read = len(said)
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise StageError(f"the constraint of the answer: {self._matcher.get_error()}")
        return torch.from_numpy(np.unpackbits(bits, bitorder="little")[: self._size].astype(bool))


class Grammars:
    """What makes constraints for the answers of one model."""

    def __init__(self, tokenizer: Tokenizer, size: int, end: Sequence[int]) -> None:
        self._size = size
        self._tokenizer = LLTokenizer(TokenizerWrapper(_Vocabulary(tokenizer, end[0])), size, list(end))

    def constraints(self, asked: Generating, count: int) -> list[Constraint]:
        """Those of so many answers to a request. Raises `ApiError` for a grammar that is none."""
        grammar, param = _grammar(asked)
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            reason = matcher.get_error().splitlines()[0]
            raise ApiError(400, f"{param} is not what answers can be held to: {reason}", param=param)
        return [Constraint(matcher.deep_copy(), self._size) for _ in range(count)]


class _Vocabulary:
    """A tokenizer as llguidance reads it: the bytes of each token, and a function to encode a text."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, end: int) -> None:
        names = tokenizer.special_names
        self.eos_token_id = end
        self.special_token_ids = sorted(names)
        self.tokens = [
            names[token].encode() if token in names else tokenizer.decode_bytes([token])
            for token in range(tokenizer.vocab_size)
        ]
        self._encode = tokenizer.encode

    def __call__(self, text: str) -> list[int]:
        return self._encode(text)


def _grammar(asked: Generating) -> tuple[str, str]:
    """The grammar of a constrained request, and the field that holds it."""
    form, structure = asked.response_format, asked.structured_outputs
    if structure is not None:
        if form is not None and form.type != "text":
            raise ApiError(400, "response_format and structured_outputs exclude each other", param="structured_outputs")
        if (structure.choice is None) == (structure.regex is None):
            raise ApiError(400, "structured_outputs should have a choice or a regex", param="structured_outputs")
        if structure.regex is not None:
            return LLMatcher.grammar_from_regex(structure.regex), "structured_outputs.regex"
        choices = " | ".join(json.dumps(text, ensure_ascii=False) for text in structure.choice or ())
        return LLMatcher.grammar_from_lark(f"start: {choices}"), "structured_outputs.choice"
    assert form is not None
    if form.type == "json_object":
        return _of_schema({"type": "object"}), "response_format"
    if form.json_schema is None:
        raise ApiError(400, "response_format of the type json_schema needs a json_schema", param="response_format")
    return _of_schema(form.json_schema.schema_), "response_format.json_schema"


def _of_schema(schema: dict[str, object]) -> str:
    return LLMatcher.grammar_from_json_schema(schema, overrides={"whitespace_flexible": False})
