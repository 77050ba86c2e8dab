"""How well a tokenizer fits: bytes and tokens of documents, and entries without use."""

import numpy as np
import pyarrow as pa

from components.tokenizer.tokenizer import Tokenizer
from components.tokenizer_training import figures

ROWS = [
    {"language": "en", "source": "notes", "text": "The quick brown fox"},
    {"language": "zh", "source": "notes", "text": "天地玄黄"},
    {"language": "en", "source": "web", "text": "a lazy dog jumps"},
]


def test_each_document_counts_once_for_its_language_and_its_source(tokenizer: Tokenizer) -> None:
    found = figures.compare(pa.Table.from_pylist(ROWS), [tokenizer, tokenizer])
    lengths = [len(tokenizer.encode(row["text"])) for row in ROWS]
    assert [(rival.column, rival.name, rival.bytes) for rival in found] == [
        ("all", "all", 47),
        ("language", "en", 35),
        ("language", "zh", 12),
        ("source", "notes", 31),
        ("source", "web", 16),
    ]
    assert [rival.tokens[0] for rival in found] == [
        sum(lengths), lengths[0] + lengths[2], lengths[1], lengths[0] + lengths[1], lengths[2],
    ]  # fmt: skip
    assert all(rival.tokens[0] == rival.tokens[1] for rival in found)


def test_unused_entries_are_those_of_text_that_never_stand(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(ROWS[0]["text"])
    used = figures.usage(np.bincount(ids, minlength=tokenizer.vocab_size), tokenizer)
    assert used.entries == len(tokenizer.ordinary_tokens)
    assert used.unused == used.entries - len(set(ids))
    assert len(used.examples) == figures.SHOWN
