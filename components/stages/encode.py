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
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tokenizers

from components.core import code, id_index, kept, params, stage, start
from components.core.errors import StageError
from components.core.files import sha256
from components.core.kept import CACHE, KeptFiles, packed, unpacked
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

ENCODED = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "source", "language")),
        ("bytes", pa.int32()),
        ("tokens", pa.large_binary()),  # of the document, and those around it
    ]
)
KEPT = CACHE / "encode"
CODE = ("stages/encode.py", "tokenizer")  # that decides about the tokens


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


def encoded(parquet: Path, tokenizer: Tokenizer, compared: int) -> pa.RecordBatch:
    """The documents of a Parquet file and their tokens (`ENCODED`); so many are compared, see `compare`."""
    compare(parquet, tokenizer, tokenizer.library, compared)
    ids, lengths = tokenizer.encode_column(parquet)
    around = borders(tokenizer)
    tokens = framed(ids, lengths, around).astype(token_type(tokenizer.vocab_size))
    ends = np.cumsum([0, *(lengths + len(around)) * tokens.itemsize], dtype=np.int64)
    table = pq.read_table(parquet, columns=["id", "source", "language", "text"])
    columns = [
        *(table[name].combine_chunks() for name in ("id", "source", "language")),
        pc.binary_length(table["text"]).combine_chunks(),
        pa.Array.from_buffers(pa.large_binary(), len(lengths), [None, pa.py_buffer(ends), pa.py_buffer(tokens)]),
    ]
    counts = np.bincount(tokens, minlength=tokenizer.vocab_size)
    schema = ENCODED.with_metadata({USAGE: counts.astype(np.int64).tobytes()})
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def write_shards(
    rows: pa.RecordBatch, split: str, name: str, tokenizer: Tokenizer, out: Path
) -> Iterator[tuple[Shard, pa.Table]]:
    """Write encoded documents into `out/<split>`; yields the entries of the shards and their index rows.

    The documents of the train split are in a shard for each source, and those to learn from after a pinned start apart.
    """
    if split != "train":
        yield _write(rows, out / split / f"{name}.bin", out, tokenizer, source=None, new=False)
        return
    sources, new = np.array(rows["source"].to_pylist()), _new(rows)
    for number, source in enumerate(dict.fromkeys(sources.tolist()), start=1):
        for among, suffix in ((~new, ""), (new, ".new")):
            if (chosen := (sources == source) & among).any():
                path = out / split / f"{name}.{number}{suffix}.bin"
                yield _write(rows.filter(pa.array(chosen)), path, out, tokenizer, source=source, new=bool(suffix))


def _new(rows: pa.RecordBatch) -> np.ndarray:
    """Which documents a pinned start was not given; none where there is no start."""
    lookup = start.READ / "lookup.npy"
    if not lookup.exists():
        return np.zeros(len(rows), bool)
    return ~id_index.known(lookup, rows["id"].to_pylist())


def _write(
    rows: pa.RecordBatch, path: Path, out: Path, tokenizer: Tokenizer, *, source: str | None, new: bool
) -> tuple[Shard, pa.Table]:
    split, place, kind = path.parent.name, str(path.relative_to(out)), token_type(tokenizer.vocab_size)
    lengths = pc.binary_length(rows["tokens"]).to_numpy() // np.dtype(kind).itemsize
    tokens = np.frombuffer(rows["tokens"].buffers()[2] or b"", kind, lengths.sum())
    path.parent.mkdir(parents=True, exist_ok=True)
    tokens.tofile(path)
    around = len(borders(tokenizer))
    columns = [
        rows["id"],
        pa.repeat(pa.scalar(split), len(rows)),
        rows["source"],
        rows["language"],
        pa.repeat(pa.scalar(place), len(rows)),
        np.cumsum(lengths) - lengths + around - 1,
        lengths - around,
        rows["bytes"],
    ]
    index = pa.table(dict(zip(INDEX.names, columns, strict=True)), INDEX)
    sizes = (len(rows), len(tokens), pc.sum(rows["bytes"]).as_py() or 0)
    return Shard(place, split, *sizes, hashlib.sha256(tokens.tobytes()).hexdigest(), source, new), index


def borders(tokenizer: Tokenizer) -> tuple[int, ...]:
    """The tokens around a document: before it and behind it, or behind it alone where they are the same."""
    start, end = tokenizer.start_of_text, tokenizer.end_of_text
    return (end,) if start == end else (start, end)


def framed(ids: np.ndarray, lengths: np.ndarray, around: tuple[int, ...]) -> np.ndarray:
    """The tokens of documents one after the other, each with those around it."""
    ends = np.cumsum(lengths)
    places = np.stack([ends - lengths, ends], axis=1)[:, -len(around) :]
    return np.insert(ids, places.ravel(), np.tile(around, len(lengths)))


def token_type(vocab_size: int) -> type[np.uint16] | type[np.uint32]:
    """The smallest type of a shard that holds every id."""
    return np.uint16 if vocab_size <= 1 << 16 else np.uint32


def compare(parquet: Path, tokenizer: Tokenizer, reference: tokenizers.Tokenizer, documents: int) -> None:
    """Encode a few documents, evenly spaced, with `tokenizers` too: the fast encoder is young.

    Raises `StageError` on a difference.
    docs/decisions.md, "gigatoken, checked"
    """
    table = pq.read_table(parquet, columns=["id", "text"])
    rows = table.take(pa.array(range(0, len(table), max(1, len(table) // documents)), pa.int64())).to_pylist()
    ours = tokenizer.encode_batch([row["text"] for row in rows])
    theirs = reference.encode_batch([row["text"] for row in rows], add_special_tokens=False)
    for row, ids, other in zip(rows, ours, theirs, strict=True):
        if ids != other.ids:
            raise StageError(f"gigatoken and tokenizers differ on document {row['id']} of {parquet}")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def main() -> None:
    settings = params.read("encode", Encode)
    tokenizer = Tokenizer.load(TOKENIZER)
    files = [(split, file) for split in SPLITS for file in sorted((DOCUMENTS / split).glob("*.parquet"))]
    known, made_from = KeptFiles(KEPT), (code.digest(*CODE), sha256(*_files(TOKENIZER)), settings.compared_documents)
    shards: list[Shard] = []
    documents: list[str] = []
    usage = np.zeros(tokenizer.vocab_size, np.int64)
    TOKENS.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(TOKENS / "index.parquet", INDEX, compression="zstd") as writer:
        for split, file in track(files, "encode", len(files), "shards"):
            key = kept.key(*made_from, sha256(file))
            path = known.find(key) or known.add(key, packed(encoded(file, tokenizer, settings.compared_documents)))
            rows = unpacked(path)
            if split == "train":
                usage += np.frombuffer(rows.schema.metadata[USAGE.encode()], np.int64)
            for shard, index in write_shards(rows, split, file.stem, tokenizer, TOKENS):
                shards.append(shard)
                documents += index["document"].to_pylist()
                if len(index):
                    writer.write_table(index, row_group_size=ROWS_PER_GROUP)
    known.forget_others()
    id_index.write(TOKENS / "lookup.npy", documents, np.arange(len(documents)))
    np.save(TOKENS / USAGE, usage)
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
