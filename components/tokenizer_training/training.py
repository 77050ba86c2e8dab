"""Creates a tokenizer: a byte-level BPE trained on text, in the Hugging Face format, or one of an imported model."""

import hashlib
import json
import math
from pathlib import Path

import gigatoken
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from components.core.errors import BadData, BadSettings
from components.tokenizer.chat_template import CHAT_TEMPLATE
from components.tokenizer.special import END_OF_TEXT, PADDING, TokenizerFiles
from components.tokenizer.surfaces import byte_to_character
from components.tokenizer.tokenizer import Tokenizer
from components.tokenizer_training import splitting
from components.tokenizer_training.settings import Pieces, Pinned

FILES = TokenizerFiles(names={"eos_token": END_OF_TEXT, "pad_token": PADDING}, chat_template=CHAT_TEMPLATE)
"""What stands beside a tokenizer that was trained here."""


def train(shards: list[Path], vocab_size: int, special: list[str], pieces: Pieces | None = None) -> Tokenizer:
    """A tokenizer with exactly `vocab_size` entries, the special tokens last.

    It splits as GPT-2 does, or into given pieces. Raises `BadSettings` when the text is not varied enough to fill the
    vocabulary.
    """
    entries = vocab_size - len(special)
    trained = _as_gpt2(shards, entries) if pieces is None else splitting.train(shards, entries, pieces)
    if (found := trained.get_vocab_size()) < entries:
        raise BadSettings(f"tokenizer.vocab_size is {vocab_size}, but the text gives only {found} entries: lower it")
    return Tokenizer(trained.to_str(), FILES).having(special)


def _as_gpt2(shards: list[Path], entries: int) -> tokenizers.Tokenizer:
    vocab, merges = gigatoken.train_bpe(gigatoken.ParquetFileSource([*shards], column="text"), entries, [])
    return _in_hugging_face_format(vocab, merges)


def adopt(pinned: Pinned, special: list[str]) -> Tokenizer:
    """The tokenizer of an imported model, with those special tokens appended whose role none of its own has.

    Raises `BadData` when the file does not exist, or is not the pinned one.
    """
    file = Path(pinned.file)
    if not file.exists():
        raise BadData(f"tokenizer.start.file: there is no {file}")
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != pinned.sha256:
        raise BadData(f"{file} has the sha256 {found}, not {pinned.sha256} of tokenizer.start")
    theirs = Tokenizer(file.read_text(encoding="utf-8"), TokenizerFiles.load(file.parent))
    return theirs.having(theirs.lacking(special))


def sample(shards: list[Path], max_bytes: int) -> list[Path]:
    """Evenly spaced shards that together have about `max_bytes`."""
    return shards[:: math.ceil(sum(shard.stat().st_size for shard in shards) / max_bytes)]


def bytes_per_token(tokenizer: Tokenizer, shards: list[Path]) -> float:
    """The bytes of text in a token, over the documents of Parquet files."""
    tokens = sum(len(tokenizer.encode_column(shard)[0]) for shard in shards)
    texts = (pq.read_table(shard, columns=["text"])["text"] for shard in shards)
    return sum(pc.sum(pc.binary_length(text)).as_py() or 0 for text in texts) / max(1, tokens)


def bytes_per_token_of(manifest: Path) -> float:
    """The same of the documents that the stage `encode` encoded for training, by its manifest."""
    shards = [shard for shard in json.loads(manifest.read_text())["shards"] if shard["split"] == "train"]
    tokens = sum(shard["tokens"] - shard["documents"] for shard in shards)  # without the ends of the texts
    return float(sum(shard["bytes"] for shard in shards) / max(1, tokens))


def _in_hugging_face_format(vocab: dict[int, bytes], merges: list[tuple[bytes, bytes]]) -> tokenizers.Tokenizer:
    names = {token: _printable(token) for token in vocab.values()}
    bpe = models.BPE(
        vocab={names[token]: index for index, token in vocab.items()},
        merges=[(_printable(left), _printable(right)) for left, right in merges],
    )
    tokenizer = tokenizers.Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _printable(token: bytes) -> str:
    return "".join(_BYTE_TO_CHARACTER[byte] for byte in token)


_BYTE_TO_CHARACTER = byte_to_character()
