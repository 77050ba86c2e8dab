"""A byte-level BPE that splits digits, spaces and Chinese as the settings say, trained by `tokenizers`.

gigatoken trains with the split of GPT-2 alone. Of these it encodes what splits as Llama 3 or Qwen do.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from components.tokenizer.fast import BEFORE_DIGITS, BEHIND_DIGITS
from components.tokenizer_training.settings import Pieces

DIGITS = {"runs": r"\p{N}+", "single": r"\p{N}", "triples": r"\p{N}{1,3}"}
BEHIND = {"runs": BEHIND_DIGITS, "single": r"| ?[^\s\p{L}\p{N}]+|\s"}
CHARACTER = Regex(r"\p{Han}")
ROWS = 1000


def train(shards: list[Path], entries: int, pieces: Pieces) -> Tokenizer:
    """A tokenizer with at most so many entries, without special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(_splits(pieces))
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=entries, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_texts(shards), trainer)
    return tokenizer


def _splits(pieces: Pieces) -> list[pre_tokenizers.PreTokenizer]:
    pattern = Regex(BEFORE_DIGITS + DIGITS[pieces.digits] + BEHIND[pieces.spaces])
    steps = [
        pre_tokenizers.Split(pattern, "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    return steps if pieces.chinese == "runs" else [pre_tokenizers.Split(CHARACTER, "isolated"), *steps]


def _texts(shards: list[Path]) -> Iterator[list[str]]:
    for shard in shards:
        for batch in pq.ParquetFile(shard).iter_batches(ROWS, columns=["text"]):
            yield batch["text"].to_pylist()
