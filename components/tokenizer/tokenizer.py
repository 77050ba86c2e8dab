"""Text to token ids and back, and conversations, from a folder in the Hugging Face layout.

A tokenizer may be of any kind that `tokenizers` loads. A byte-level BPE of a known form runs in gigatoken, which is
faster; conversations and all others run in `tokenizers`.
docs/decisions.md, "gigatoken, checked"
"""

import functools
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import awkward
import gigatoken
import numpy as np
import pyarrow.parquet as pq
import tokenizers
from tokenizers import AddedToken

from components.core.errors import BadData, RefusedTurns
from components.tokenizer import fast, renaming
from components.tokenizer.chat_template import CHAT_TEMPLATE, ChatTemplate, Rendered, ending, plain
from components.tokenizer.message import Message
from components.tokenizer.special import (
    END_OF_TEXT,
    END_OF_TURN,
    MASK,
    PADDING,
    SENTINEL,
    SPECIAL_TOKENS,
    START_OF_TURN,
    Roles,
    TokenizerFiles,
)
from components.tokenizer.surfaces import is_byte_level, spaces_after, surfaces

__all__ = ["END_OF_TEXT", "END_OF_TURN", "SENTINEL", "SPECIAL_TOKENS", "Message", "Tokenizer"]

T5_SENTINEL = "<extra_id_{}>"
ROWS = 1000  # of a table that `tokenizers` encodes at once
QUESTION: list[Message] = [{"role": "user", "content": "?"}]


class Tokenizer:
    """Text to token ids and back. No text becomes special tokens, whatever it contains; only a chat template sets them.

    docs/decisions.md, "Text never becomes special tokens"
    """

    def __init__(self, tokenizer_json: str, files: TokenizerFiles = TokenizerFiles()) -> None:  # noqa: B008 (frozen)
        self._json = tokenizer_json
        self._content: dict[str, Any] = json.loads(tokenizer_json)
        added = {token["content"]: token for token in self._content["added_tokens"]}
        named = {*files.names.values(), *files.others}
        special = {name: token["id"] for name, token in added.items() if token["special"] or name in named}
        vocabulary = renaming.vocabulary(self._content)
        self._ids = special  # of special tokens by their names
        self._files = files
        self._roles = Roles.of(self._content, files, special)
        self._special = frozenset(special.values())
        self.vocab_size: int = 1 + max([*vocabulary.values(), *(token["id"] for token in added.values())])
        self.sentinels: list[int] = _sentinels(special)
        self._fast = fast.load(self._content, special)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load the tokenizer of a folder. Raises `BadData` when it has none."""
        file = folder / "tokenizer.json"
        if not file.exists():
            raise BadData(
                f"{folder} holds no tokenizer.json: save its tokenizer with `save_pretrained` of transformers"
            )
        return cls(file.read_text(encoding="utf-8"), TokenizerFiles.load(folder))

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json` and `tokenizer_config.json`: enough for `load` and for `transformers`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokenizer.json").write_text(self._json, encoding="utf-8")
        config = json.dumps(self._files.config(self.template.source), indent=2, ensure_ascii=False)
        (folder / "tokenizer_config.json").write_text(config + "\n", encoding="utf-8")

    def having(self, special: Sequence[str]) -> "Tokenizer":
        """The tokenizer with special tokens appended, as far as it lacks them."""
        changed = tokenizers.Tokenizer.from_str(self._json)
        changed.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
        own = {END_OF_TEXT: "eos_token", PADDING: "pad_token", MASK: "mask_token"}
        names = {**{own[token]: token for token in special if token in own}, **self._files.names}
        return Tokenizer(changed.to_str(pretty=True), replace(self._files, names=names))

    def lacking(self, special: Sequence[str]) -> list[str]:
        """Those of our special tokens whose role none of its own has."""
        roles = self._roles
        has = {END_OF_TEXT: roles.end_of_text, PADDING: roles.padding, MASK: roles.mask}
        chats = {START_OF_TURN, END_OF_TURN} if self._files.chat_template else set()
        kept = {name for name, token in has.items() if token is not None} | chats
        return [token for token in special if token not in kept]

    @property
    def end_of_text(self) -> int:
        """The token behind a document. Raises `BadData` when there is none."""
        return _needed(self._roles.end_of_text, "end of a text", "eos_token")

    @property
    def start_of_text(self) -> int:
        """The token before a document: what the post-processor sets there, otherwise the end of the text before."""
        return self._roles.start[-1] if self._roles.start else self.end_of_text

    @property
    def padding(self) -> int:
        """What fills up rows; nothing learns from it, so that the end of a text does as well."""
        return self.end_of_text if self._roles.padding is None else self._roles.padding

    @property
    def mask(self) -> int:
        """The token that hides another. Raises `BadData` when there is none."""
        return _needed(self._roles.mask, "hidden token", "mask_token")

    @property
    def unknown(self) -> int | None:
        """The token for characters that the vocabulary lacks; None when it lacks none."""
        return self._roles.unknown

    @functools.cached_property
    def end_of_turn(self) -> int:
        """The token that ends an answer, as the chat template sets it."""
        return self.reply(QUESTION[0]["content"])[-1]

    @functools.cached_property
    def special_names(self) -> Mapping[int, str]:
        """The names of special tokens, as people write them."""
        return {token: name for name, token in self._ids.items()}

    @functools.cached_property
    def ordinary_tokens(self) -> np.ndarray:
        """The ids of text: all but the special ones."""
        return np.setdiff1d(np.arange(self.vocab_size), list(self._special))

    def frame(self, ids: Sequence[int]) -> list[int]:
        """A text as the post-processor frames it: `[CLS] text [SEP]` of BERT, for example."""
        return [*self._roles.start, *ids, *self._roles.end]

    def encode(self, text: str) -> list[int]:
        """The ids of a text. Raises `BadData` when it is not Unicode."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text. Raises `BadData` when one is not Unicode: it has half of a surrogate pair."""
        try:
            if self._fast is None:
                encoded = self.library.encode_batch_fast(list(texts), add_special_tokens=False)
                return [encoding.ids for encoding in encoded]
            ids: list[list[int]] = self._fast.encode_batch_list(list(texts))
        except (TypeError, UnicodeEncodeError):
            for text in texts:
                _check_unicode(text)
            raise
        return ids

    def encode_column(self, parquet: Path, column: str = "text") -> tuple[np.ndarray, np.ndarray]:
        """Encode all rows of a column of a Parquet file: the concatenated ids, and the length of each row."""
        if self._fast is not None:
            rows = self._fast.encode_files(gigatoken.ParquetFileSource([parquet], column=column))
            return awkward.flatten(rows).to_numpy(), awkward.num(rows).to_numpy()
        batches = pq.ParquetFile(parquet).iter_batches(ROWS, columns=[column])
        encoded = [ids for batch in batches for ids in self.encode_batch(batch[column].to_pylist())]
        return np.array([*itertools.chain(*encoded)], np.int64), np.array([*map(len, encoded)], np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, without special tokens; bytes that are not UTF-8 become U+FFFD."""
        if is_byte_level(self._content):
            return self.decode_bytes(ids).decode("utf-8", errors="replace")
        text: str = self.library.decode([*map(int, ids)], skip_special_tokens=True)
        return text

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that ids stand for, without special tokens: a character may be cut at either end.

        Unlike in `decode`, a first word has its space if its token has one.
        """
        return b"".join(self._surfaces.get(int(token), b"") for token in ids)

    def byte_lengths(self) -> np.ndarray:
        """The number of bytes that each id stands for, [V]; 0 for special tokens."""
        return np.array([len(self._surfaces.get(token, b"")) for token in range(self.vocab_size)])

    def text_bytes(self, ids: np.ndarray, before: np.ndarray) -> int:
        """The bytes of text of ids, given the id before each: a space that the tokenizer itself adds does not count.

        Some add one where a text begins: behind any special token, or behind the end of another text alone. What stands
        for hidden text begins none.
        """
        borders = self._special - {*self.sentinels, self._roles.mask}
        added = {"never": [], "first": [self.end_of_text, self.start_of_text], "always": list(borders)}
        spaced = [token for token, surface in self._surfaces.items() if surface.startswith(b" ")]
        begins = np.isin(before, added[spaces_after(self._content)]) & np.isin(ids, spaced)
        return int(self.byte_lengths()[ids].sum() - begins.sum())

    def without_end(self, text: str, tokens: int) -> str:
        """A text without its last tokens; a character that they cut goes with them."""
        if is_byte_level(self._content):
            return self.decode(self.encode(text)[:-tokens]).rstrip("\ufffd")
        offsets = self.library.encode(text, add_special_tokens=False).offsets
        return text[: offsets[-tokens][0]] if tokens < len(offsets) else ""

    def chat_prompt(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a conversation, ending with the opened turn of the assistant."""
        return list(self._encoded(self.template.render(messages, answer_follows=True)).ids)

    def chat_targets(self, messages: Sequence[Message]) -> list[bool]:
        """For each id of `chat_prompt`, whether it is trained: part of an assistant's turn, or its end.

        Turns of weight 0 are not trained. Raises `RefusedTurns` when the template does not show which parts those are.
        """
        rendered = self.template.render(messages, answer_follows=True)
        spans = self.template.trained(messages, rendered)
        weights = [message.get("weight", 1) for message in messages if message["role"] == "assistant"]
        kept = [span for span, weight in zip(spans, weights, strict=True) if weight]
        offsets = self._encoded(rendered).offsets
        return [any(start < end and begin < stop for begin, end in kept) for start, stop in offsets]

    def reply(self, content: str) -> list[int]:
        """The ids of an answer of the assistant: what follows `chat_prompt`, up to the end of the turn.

        Raises `RefusedTurns` when an answer changes the tokens of the prompt before it: training would not be serving.
        """
        prompt, prompt_ids = self._prompt
        whole = self.template.render([*QUESTION, {"role": "assistant", "content": content}], answer_follows=False)
        encoded = self._encoded(whole)
        place = whole.special[ending(whole, whole.contents[-1])][0] if whole.contents else 0
        length = sum(start <= place for start, _ in encoded.offsets)
        ids: list[int] = encoded.ids[:length]
        if not whole.text.startswith(prompt.text) or ids[: len(prompt_ids)] != prompt_ids:
            raise RefusedTurns(f"the chat template changes the prompt when the answer {content[:40]!r} follows")
        return ids[len(prompt_ids) :]

    def decode_reply(self, ids: Iterable[int]) -> str:
        """The text of an answer, without what the template sets before each: such as the empty thoughts of Qwen3."""
        return self.decode(ids).strip().removeprefix(self.lead).lstrip()

    @functools.cached_property
    def lead(self) -> str:
        """What the template sets before the content of an answer, without white space around it."""
        whole = self.template.render([*QUESTION, {"role": "assistant", "content": "?"}], answer_follows=False)
        start, end = len(self._prompt[0].text), whole.contents[-1] - len("?") if whole.contents else 0
        return whole.text[start:end].strip()

    @functools.cached_property
    def template(self) -> ChatTemplate:
        """The chat template: that of the folder, ours where its tokens are known, otherwise a plain one."""
        source = self._files.chat_template
        if source is None and {START_OF_TURN, END_OF_TURN} <= self._ids.keys():
            source = CHAT_TEMPLATE
        if source is None:
            names = {token: name for name, token in self._ids.items()}
            start = "".join(names[token] for token in self._roles.start)
            end = "".join(names[token] for token in self._roles.end or (self.end_of_text,))
            source = plain(start, end, framed=bool(self._roles.end))
        return ChatTemplate(source, self._ids, self._files.names)

    @functools.cached_property
    def _prompt(self) -> tuple[Rendered, list[int]]:
        rendered = self.template.render(QUESTION, answer_follows=True)
        return rendered, list(self._encoded(rendered).ids)

    def _encoded(self, rendered: Rendered) -> tokenizers.Encoding:
        try:
            return self.library.encode(rendered.text, add_special_tokens=False)
        except (TypeError, UnicodeEncodeError):
            _check_unicode(rendered.text)
            raise

    @functools.cached_property
    def library(self) -> tokenizers.Tokenizer:
        """The same in `tokenizers`."""
        return renaming.load(self._content, self._ids)

    @functools.cached_property
    def _surfaces(self) -> Mapping[int, bytes]:
        """The bytes of each ordinary token."""
        added = {token["id"]: token["content"].encode() for token in self._content["added_tokens"]}
        known = surfaces(self._content) | added
        return {token: surface for token, surface in known.items() if token not in self._special}


def _sentinels(special: Mapping[str, int]) -> list[int]:
    names = next((name for name in (SENTINEL, T5_SENTINEL) if name.format(0) in special), SENTINEL)
    numbered = map(names.format, itertools.count())
    return [special[name] for name in itertools.takewhile(special.__contains__, numbered)]


def _needed(token: int | None, what: str, key: str) -> int:
    if token is None:
        raise BadData(f"the tokenizer has no token for the {what}: name one as `{key}` in its tokenizer_config.json")
    return token


def _check_unicode(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadData(f"a text is not Unicode, as it holds {text[error.start]!a}: give it as UTF-8") from None
