"""Stage `encode`: the documents as token shards to memory-map, and an index from document to tokens.

A shard is a flat array of ids (uint16 when the vocabulary fits, else uint32); every document is followed by the
end-of-text token, and begins with the token that its tokenizer sets before a text, where that is another one. In the
train split each shard has the documents of one source and, where training goes on from a pinned version, either those
that it was given or new ones. `index.parquet` has the location of each document's tokens, in row groups that hold
documents of one shard; `lookup.npy` maps the id of a document to its row there (`components/core/id_index.py`).
`manifest.json` summarises the shards, and `usage.npy` has how often each id stands in the train split. With the setting
`pairs` the tables of examples and the definitions of their tasks are beside them.
docs/decisions.md, "Pretraining depends on tasks where it reads examples"
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tokenizers

from components.core import id_index, params, stage, start
from components.core.errors import StageError
from components.core.progress import track
from components.tokenizer import vocabulary
from components.tokenizer.tokenizer import Tokenizer
from components.tokenizer_training.settings import Encode

DOCUMENTS = Path("data/prepared/documents")
EXAMPLES = Path("data/prepared/examples")
DEFINITIONS = Path("data/tasks.yaml")
TOKENIZER = Path("models/tokenizer")
TOKENS = Path("data/tokens")
USAGE = "usage.npy"  # of the vocabulary
SPLITS = ("train", "validation", "test")
ROWS_PER_GROUP = 4096  # of the index: how many are read to find a row
INDEX = pa.schema(
    [
        *((name, pa.string()) for name in ("document", "split", "source", "language", "shard")),
        ("offset", pa.int64()),  # in tokens
        ("length", pa.int64()),  # in tokens, without those around the document
        ("bytes", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Shard:
    """One file of tokens, named relative to `data/tokens`."""

    file: str
    split: str
    documents: int
    tokens: int  # including those around documents
    bytes: int  # of UTF-8 text
    sha256: str
    source: str | None  # of its documents; only the shards of the train split have one alone
    new: bool  # the pinned start was not given its documents


@dataclass(frozen=True)
class Encoded:
    """Documents (columns id, source, language, text), their tokens one after the other, and how many each has."""

    table: pa.Table
    ids: np.ndarray
    lengths: np.ndarray

    def only(self, wanted: np.ndarray) -> "Encoded":
        """Those documents for which `wanted`, a mask, is true."""
        return Encoded(
            self.table.filter(pa.array(wanted)), self.ids[np.repeat(wanted, self.lengths)], self.lengths[wanted]
        )


def encode_file(parquet: Path, split: str, tokenizer: Tokenizer, out: Path) -> list[tuple[Shard, pa.Table]]:
    """Encode a Parquet file of documents into `out/<split>`; returns the entries of its shards and their index rows.

    The documents of the train split are in a shard for each source, and those to learn from after a pinned start apart.
    """
    ids, lengths = tokenizer.encode_column(parquet)
    documents = Encoded(pq.read_table(parquet, columns=["id", "source", "language", "text"]), ids, lengths)
    if split != "train":
        return [_write(documents, out / split / f"{parquet.stem}.bin", out, tokenizer, source=None, new=False)]
    sources, new = np.array(documents.table["source"].to_pylist()), _new(documents.table)
    shards = []
    for number, source in enumerate(dict.fromkeys(sources.tolist()), start=1):
        for among, suffix in ((~new, ""), (new, ".new")):
            if (chosen := (sources == source) & among).any():
                path = out / split / f"{parquet.stem}.{number}{suffix}.bin"
                shards.append(_write(documents.only(chosen), path, out, tokenizer, source=source, new=bool(suffix)))
    return shards


def _new(table: pa.Table) -> np.ndarray:
    """Which documents a pinned start was not given; none where there is no start."""
    lookup = start.READ / "lookup.npy"
    if not lookup.exists():
        return np.zeros(len(table), bool)
    return ~id_index.known(lookup, table["id"].to_pylist())


def _write(
    documents: Encoded, path: Path, out: Path, tokenizer: Tokenizer, *, source: str | None, new: bool
) -> tuple[Shard, pa.Table]:
    ids, lengths, split = documents.ids, documents.lengths, path.parent.name
    around = borders(tokenizer)
    tokens = framed(ids, lengths, around).astype(token_type(tokenizer.vocab_size))
    path.parent.mkdir(parents=True, exist_ok=True)
    tokens.tofile(path)
    offsets = np.cumsum(lengths + len(around)) - (lengths + 1)
    index = _index(documents.table, split, str(path.relative_to(out)), offsets, lengths)
    digest = hashlib.sha256(tokens.tobytes()).hexdigest()
    sizes = (len(lengths), len(tokens), pc.sum(index["bytes"]).as_py() or 0)
    return Shard(str(path.relative_to(out)), split, *sizes, digest, source, new), index


def borders(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokens around a document: before it and behind it, or behind it alone where they are the same."""
    start, end = tokenizer.start_of_text, tokenizer.end_of_text
    return (end,) if start == end else (start, end)


def framed(ids: np.ndarray, lengths: np.ndarray, around: tuple[int, ...]) -> np.ndarray:
    """The tokens of documents one after the other, each with those around it."""
    ends = np.cumsum(lengths)
    places = np.stack([ends - lengths, ends], axis=1)[:, -len(around) :]
    return np.insert(ids, places.ravel(), np.tile(around, len(lengths)))


def count_tokens(folder: Path, shards: list[Shard], vocab_size: int) -> np.ndarray:
    """How often each id stands in the train split, [V]."""
    counts = np.zeros(vocab_size, np.int64)
    for shard in shards:
        if shard.split == "train":
            tokens = np.fromfile(folder / shard.file, token_type(vocab_size))
            counts += np.bincount(tokens, minlength=vocab_size)
    return counts


def token_type(vocab_size: int) -> type[np.uint16] | type[np.uint32]:
    """The smallest type of a shard that holds every id."""
    return np.uint16 if vocab_size <= 1 << 16 else np.uint32


def compare(parquet: Path, tokenizer: Tokenizer, reference: tokenizers.Tokenizer, documents: int) -> None:
    """Encode a few documents, evenly spaced, with `tokenizers` too: the fast encoder is young.

    Raises `StageError` on a difference.
    docs/decisions.md, "gigatoken, checked"
    """
    table = pq.read_table(parquet, columns=["id", "text"])
    rows = table.take(list(range(0, len(table), max(1, len(table) // documents)))).to_pylist()
    ours = tokenizer.encode_batch([row["text"] for row in rows])
    theirs = reference.encode_batch([row["text"] for row in rows], add_special_tokens=False)
    for row, ids, other in zip(rows, ours, theirs, strict=True):
        if ids != other.ids:
            raise StageError(f"gigatoken and tokenizers differ on document {row['id']} of {parquet}")


def _index(table: pa.Table, split: str, shard: str, offsets: np.ndarray, lengths: np.ndarray) -> pa.Table:
    columns = [
        table["id"],
        pa.repeat(pa.scalar(split), len(table)),
        table["source"],
        table["language"],
        pa.repeat(pa.scalar(shard), len(table)),
        offsets,
        lengths,
        pc.binary_length(table["text"]),
    ]
    return pa.table(dict(zip(INDEX.names, columns, strict=True)), INDEX)


def main() -> None:
    settings = params.read("encode", Encode)
    tokenizer = Tokenizer.load(TOKENIZER)
    files = [(split, file) for split in SPLITS for file in sorted((DOCUMENTS / split).glob("*.parquet"))]
    shards: list[Shard] = []
    documents: list[str] = []
    TOKENS.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(TOKENS / "index.parquet", INDEX, compression="zstd") as writer:
        for split, file in track(files, "encode", len(files), "shards"):
            compare(file, tokenizer, tokenizer.library, settings.compared_documents)
            for shard, index in encode_file(file, split, tokenizer, TOKENS):
                shards.append(shard)
                documents += index["document"].to_pylist()
                if len(index):
                    writer.write_table(index, row_group_size=ROWS_PER_GROUP)
    id_index.write(TOKENS / "lookup.npy", documents, np.arange(len(documents)))
    np.save(TOKENS / USAGE, count_tokens(TOKENS, shards, tokenizer.vocab_size))
    manifest = {
        "vocab_size": tokenizer.vocab_size,
        "end_of_text": tokenizer.end_of_text,
        "vocabulary": vocabulary.digest(TOKENIZER),
        "bytes_per_token": np.dtype(token_type(tokenizer.vocab_size)).itemsize,
        "shards": [asdict(shard) for shard in shards],
    }
    (TOKENS / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    if settings.pairs:
        shutil.copytree(EXAMPLES, TOKENS / "examples")
        shutil.copyfile(DEFINITIONS, TOKENS / "tasks.yaml")


if __name__ == "__main__":
    stage.run("encode", main)
