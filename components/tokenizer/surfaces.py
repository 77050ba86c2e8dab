"""The bytes of text that each token stands for, by the kind of the tokenizer."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from components.core.errors import BadData

SPACE = "▁"  # stands for a space in the tokens of SentencePiece
BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def byte_to_character() -> dict[int, str]:
    """GPT-2's table: printable bytes stand for themselves, the others are moved to U+0100 and above, in order."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def surfaces(tokenizer: Mapping[str, Any]) -> dict[int, bytes]:
    """The text of each ordinary token by its id, from the content of a `tokenizer.json`, in UTF-8.

    A token of SentencePiece or WordPiece that begins a word has the space before it, also where the word begins a text.
    Raises `BadData` for a decoder of another kind.
    """
    kinds = _kinds(tokenizer.get("decoder"))
    vocabulary = tokenizer["model"]["vocab"]
    pieces = vocabulary.items() if isinstance(vocabulary, Mapping) else ((v[0], n) for n, v in enumerate(vocabulary))
    if "ByteLevel" in kinds:
        table = {ord(character): byte for byte, character in byte_to_character().items()}
        return {token: bytes(table[ord(c)] for c in piece) for piece, token in pieces if _in_table(piece, table)}
    if "WordPiece" in kinds:
        prefix = tokenizer["model"]["continuing_subword_prefix"]
        return {token: _word_piece(piece, prefix) for piece, token in pieces}
    if "Metaspace" in kinds or "Replace" in kinds:
        fallback = "ByteFallback" in kinds
        return {token: _sentence_piece(piece, fallback) for piece, token in pieces}
    raise BadData(f"the decoder of tokenizer.json is {'+'.join(sorted(kinds)) or 'none'}, which is not supported")


def is_byte_level(tokenizer: Mapping[str, Any]) -> bool:
    """Whether tokens stand for bytes, so that decoding gives back any text."""
    return "ByteLevel" in _kinds(tokenizer.get("decoder"))


def spaces_after(tokenizer: Mapping[str, Any]) -> Literal["never", "first", "always"]:
    """Where a tokenizer adds a space: at the beginning of a text, or behind every special token too."""
    parts = [*_parts(tokenizer.get("normalizer")), *_parts(tokenizer.get("pre_tokenizer"))]
    kinds = {part["type"]: part for part in parts}
    if "Prepend" in kinds or "WordPiece" in _kinds(tokenizer.get("decoder")):
        return "always"
    space = kinds.get("Metaspace", {"prepend_scheme": "never"})
    scheme: Literal["never", "first", "always"] = space.get("prepend_scheme", "always")
    return scheme


def _parts(step: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """A step of a tokenizer, or those of a sequence."""
    if step is None:
        return
    yield step
    for name in ("normalizers", "pretokenizers", "decoders"):
        for part in step.get(name, []):
            yield from _parts(part)


def _kinds(decoder: Mapping[str, Any] | None) -> set[str]:
    return {part["type"] for part in _parts(decoder)}


def _in_table(piece: str, table: Mapping[int, int]) -> bool:
    return all(ord(character) in table for character in piece)


def _word_piece(piece: str, prefix: str) -> bytes:
    return piece.removeprefix(prefix).encode() if piece.startswith(prefix) else f" {piece}".encode()


def _sentence_piece(piece: str, fallback: bool) -> bytes:
    if fallback and (byte := BYTE.fullmatch(piece)):
        return bytes.fromhex(byte[1])
    return piece.replace(SPACE, " ").encode()
