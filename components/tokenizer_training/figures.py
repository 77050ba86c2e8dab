"""How well a tokenizer fits the text: the bytes that a token holds, by language and source, and entries without use."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from components.tokenizer.tokenizer import Tokenizer

SHOWN = 12  # unused entries that are named


class Fit(NamedTuple):
    """Documents with one value of a column, encoded."""

    name: str
    bytes: int
    tokens: int

    @property
    def bytes_per_token(self) -> float:
        return self.bytes / max(1, self.tokens)


class Usage(NamedTuple):
    """The entries of a vocabulary that stand for text, and those of them that no document of the train split has."""

    entries: int
    unused: int
    examples: list[str]  # of the unused ones that are whole characters


def fits(index: Path, column: str) -> list[Fit]:
    """The fit to the documents of an index by `language` or `source`, the largest first."""
    table = ds.dataset(index).to_table(columns=[column, "bytes", "length"])
    grouped = table.group_by(column).aggregate([("bytes", "sum"), ("length", "sum")]).to_pylist()
    found = [Fit(str(row[column]), row["bytes_sum"], row["length_sum"]) for row in grouped]
    return sorted(found, key=lambda fit: -fit.bytes)


class Rival(NamedTuple):
    """Documents of a language or a source, and the tokens that each of several tokenizers makes of them."""

    column: str
    name: str
    bytes: int
    tokens: list[int]


def compare(documents: pa.Table, tokenizers: Sequence[Tokenizer]) -> list[Rival]:
    """Several tokenizers on documents (columns language, source, text): on all of them, by language and by source."""
    texts = documents["text"].to_pylist()
    counts = [np.array([len(ids) for ids in tokenizer.encode_batch(texts)]) for tokenizer in tokenizers]
    sizes = pc.binary_length(documents["text"]).to_numpy()
    found = [Rival("all", "all", int(sizes.sum()), [int(count.sum()) for count in counts])]
    for column in ("language", "source"):
        values = np.array(documents[column].to_pylist())
        for name in sorted(set(values.tolist()), key=lambda name: -sizes[values == name].sum()):
            chosen = values == name
            tokens = [int(count[chosen].sum()) for count in counts]
            found.append(Rival(column, name, int(sizes[chosen].sum()), tokens))
    return found


def usage(counts: np.ndarray, tokenizer: Tokenizer) -> Usage:
    """Which entries are used, from how often each id stands in the train split, [V]."""
    ordinary = tokenizer.ordinary_tokens
    unused = ordinary[counts[ordinary] == 0]
    texts = (tokenizer.decode_bytes([token]).decode(errors="replace") for token in unused)
    readable = (text for text in texts if text.isprintable() and "\ufffd" not in text)
    return Usage(len(ordinary), len(unused), list(itertools.islice(readable, SHOWN)))
