"""Text to token ids and back, and the chat format, from a folder in the Hugging Face layout."""

import itertools
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, Self, TypedDict

import awkward
import gigatoken
import numpy as np

from components.core.errors import BadData

END_OF_TEXT = "<|endoftext|>"
START_OF_TURN = "<|im_start|>"
END_OF_TURN = "<|im_end|>"
PADDING = "<|pad|>"
MASK = "<|mask|>"
SENTINEL = "<|sentinel_{}|>"  # each stands for a span that an encoder-decoder has to generate
SPECIAL_TOKENS = (END_OF_TEXT, START_OF_TURN, END_OF_TURN, PADDING, MASK)

# ChatML, as in Qwen: https://huggingface.co/Qwen/Qwen3-0.6B/blob/main/tokenizer_config.json
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class Message(TypedDict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Tokenizer:
    """A byte-level BPE. No text becomes special tokens, whatever it contains; only `chat_prompt` inserts them.

    docs/decisions.md, "Text never becomes special tokens"
    """

    def __init__(self, tokenizer_json: str) -> None:
        content = json.loads(tokenizer_json)
        special = {token["content"]: token["id"] for token in content.pop("added_tokens")}
        self.end_of_text: int = special[END_OF_TEXT]
        self.start_of_turn: int = special[START_OF_TURN]
        self.end_of_turn: int = special[END_OF_TURN]
        self.padding: int = special[PADDING]
        self.mask: int = special[MASK]
        names = map(SENTINEL.format, itertools.count())
        self.sentinels: list[int] = [special[name] for name in itertools.takewhile(special.__contains__, names)]
        self.ordinary_tokens: int = min(special.values())
        """Smaller ids are text."""
        self.vocab_size: int = len(content["model"]["vocab"].keys() | special.keys())
        self._special = frozenset(special.values())
        self._bpe = gigatoken.Tokenizer.from_json(json.dumps(content | {"added_tokens": []}))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load the `tokenizer.json` of a folder."""
        return cls((folder / "tokenizer.json").read_text(encoding="utf-8"))

    def encode(self, text: str) -> list[int]:
        """The ids of a text. Raises `BadData` when it is not Unicode."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text. Raises `BadData` when one is not Unicode: it has half of a surrogate pair."""
        try:
            ids: list[list[int]] = self._bpe.encode_batch_list(list(texts))
        except TypeError:
            for text in texts:
                _check_unicode(text)
            raise
        return ids

    def encode_column(self, parquet: Path, column: str = "text") -> tuple[np.ndarray, np.ndarray]:
        """Encode all rows of a column of a Parquet file: the concatenated ids, and the length of each row."""
        rows = self._bpe.encode_files(gigatoken.ParquetFileSource([parquet], column=column))
        return awkward.flatten(rows).to_numpy(), awkward.num(rows).to_numpy()

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, without special tokens; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of ids, without special tokens: a character may be cut at either end."""
        plain = [token for token in ids if token not in self._special]
        return bytes(self._bpe.decode(plain)) if plain else b""

    def byte_lengths(self) -> np.ndarray:
        """The number of bytes of text of each id, [V]; 0 for special tokens."""
        return np.array([len(self.decode_bytes([token])) for token in range(self.vocab_size)])

    def chat_prompt(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a conversation, ending with the opened turn of the assistant."""
        newline, opening = self.encode("\n"), self.encode("assistant\n")
        ids: list[int] = []
        for message in messages:
            turn = self.encode(f"{message['role']}\n{message['content']}")
            ids += [self.start_of_turn, *turn, self.end_of_turn, *newline]
        return [*ids, self.start_of_turn, *opening]


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadData(f"a text is not Unicode, as it holds {text[error.start]!a}: give it as UTF-8") from None
