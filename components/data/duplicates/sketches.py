"""What is kept of each text to find its copies: a digest, band keys and a signature, and on disk its shingles.

Near copies share most shingles (windows of tokens). MinHash keeps for each of many hash functions the least hash of a
text's shingles: two texts agree in one with the probability of their Jaccard similarity, the share of all their
shingles that both have (Broder 1997). Texts that agree in a whole band of minima are compared (locality-sensitive
hashing, Indyk and Motwani 1998).
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rensa import RMinHash

from components.data.duplicates import tokens
from components.data.duplicates.tokens import Indices, Tokens
from components.data.settings import Duplicates

MINIMA = 128  # hash functions, at most
RECALL = 0.995  # of pairs at the threshold that share a band, at least
COMPARED = 64  # minima whose last byte is kept, for an estimate of the similarity
SEED = 1
DIGEST = pa.field("digest", pa.binary(16))
BANDS, SIGNATURE, SHINGLES = (pa.field(name, pa.binary()) for name in ("bands", "signature", "shingles"))


class Sketches(NamedTuple):
    """The sketches of texts; those with too few words to have near copies have no bands and no shingles."""

    digests: NDArray[np.bytes_]  # [texts] of 16 bytes: equal texts have equal ones
    long: Indices  # the texts that can have near copies, ascending
    bands: NDArray[np.uint32]  # [long, bands]
    signatures: NDArray[np.uint8]  # [long, COMPARED]
    shingles: NDArray[np.uint32]  # of the long texts one behind the other, those of each sorted and distinct
    counts: Indices  # [long] shingles of each


def bands(threshold: float) -> tuple[int, int]:
    """The number of bands and of minima in each: as selective as possible, with `RECALL` at the threshold."""
    rows = max(rows for rows in range(1, MINIMA + 1) if rows == 1 or _found(threshold, rows) >= RECALL)
    return MINIMA // rows, rows


def _found(similarity: float, rows: int) -> float:
    """The probability that two texts share a band."""
    return float(1 - (1 - similarity**rows) ** (MINIMA // rows))


def sketch(texts: Sequence[str], settings: Duplicates | None) -> Sketches:
    """The sketches of texts; without settings none can have near copies."""
    return joined([_sketch(texts[part], settings) for part in tokens.batches(texts)], settings)


def joined(parts: Sequence[Sketches], settings: Duplicates | None) -> Sketches:
    """The sketches of several batches, as if they had been one."""
    if not parts:
        return _sketch([], settings)
    starts = np.cumsum([0, *(len(part.digests) for part in parts)])
    long = np.concatenate([part.long + start for part, start in zip(parts, starts, strict=False)])
    columns = zip(*parts, strict=True)
    digests, _, *others = (np.concatenate(column) for column in columns)
    return Sketches(digests, long, *others)


def columns(sketches: Sketches) -> dict[pa.Field, pa.Array]:
    """The sketches as columns of a table of the texts; short texts have a digest alone."""
    counts = np.zeros(len(sketches.digests), np.int64)
    counts[sketches.long] = sketches.counts
    is_long = np.zeros(len(counts), np.bool_)
    is_long[sketches.long] = True
    return {
        DIGEST: digest_column(sketches),
        BANDS: _binary(sketches.bands, is_long * sketches.bands.shape[1] * 4, is_long),
        SIGNATURE: _binary(sketches.signatures, is_long * COMPARED, is_long),
        SHINGLES: _binary(sketches.shingles, counts * 4, is_long),
    }


def digest_column(sketches: Sketches) -> pa.Array:
    """The digests as a column."""
    content = pa.py_buffer(np.ascontiguousarray(sketches.digests))
    return pa.Array.from_buffers(DIGEST.type, len(sketches.digests), [None, content])


def digests(column: pa.Array) -> NDArray[np.bytes_]:
    """The digests in a column."""
    return np.frombuffer(column.buffers()[1], "S16", len(column))


def of_columns(batch: pa.RecordBatch, settings: Duplicates | None) -> Sketches:
    """The sketches in the columns of a table. They stay where the table has them."""
    long = np.flatnonzero(batch[SHINGLES.name].is_valid())
    sizes = pc.binary_length(batch[SHINGLES.name]).to_numpy(zero_copy_only=False)
    return Sketches(
        digests(batch[DIGEST.name]),
        long,
        _values(batch[BANDS.name], np.uint32).reshape(len(long), bands(settings.threshold)[0] if settings else 0),
        _values(batch[SIGNATURE.name], np.uint8).reshape(len(long), COMPARED),
        _values(batch[SHINGLES.name], np.uint32),
        sizes[long].astype(np.int64) // 4,
    )


def _binary(values: NDArray[Any], sizes: Indices, is_valid: NDArray[np.bool_]) -> pa.Array:
    """A column with so many bytes of the values in each row."""
    ends = np.cumsum([0, *sizes], dtype=np.int32)
    valid = np.packbits(is_valid, bitorder="little")
    buffers = [pa.py_buffer(valid), pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.binary(), len(sizes), buffers)


def _values(column: pa.Array, kind: type[Any]) -> NDArray[Any]:
    _, ends, content = column.buffers()
    size = np.frombuffer(ends, np.int32, len(column) + 1)[-1]
    return np.frombuffer(content or b"", kind, size // np.dtype(kind).itemsize)


def _sketch(texts: Sequence[str], settings: Duplicates | None) -> Sketches:
    everything, words = tokens.read(texts)
    whole = [blake2b(everything.of(text).tobytes(), digest_size=16).digest() for text in range(len(texts))]
    digests = np.array(whole, "S16")
    if settings is None:
        return Sketches(digests, *_none(0))
    long = np.flatnonzero(np.diff(words.starts) >= settings.min_words)
    shingles, starts = _distinct(tokens.windows(words, settings.shingle_words), long)
    count, rows = bands(settings.threshold)
    if not len(long):
        return Sketches(digests, *_none(count))
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        tokens.mixed(shingles.astype(np.uint64)), starts.astype(np.uint64), count * rows, SEED
    )
    minima = np.array(matrix.to_rows(), np.uint32)
    weights = tokens.mixed(np.arange(1, rows + 1, dtype=np.uint64))
    keys = tokens.mixed((minima.reshape(len(long), count, rows) * weights).sum(2, dtype=np.uint64)) >> np.uint64(32)
    return Sketches(
        digests, long, keys.astype(np.uint32), minima[:, :COMPARED].astype(np.uint8), shingles, np.diff(starts)
    )


def _none(count: int) -> tuple[Indices, NDArray[np.uint32], NDArray[np.uint8], NDArray[np.uint32], Indices]:
    empty = np.zeros(0, np.int64)
    return empty, np.zeros((0, count), np.uint32), np.zeros((0, COMPARED), np.uint8), np.zeros(0, np.uint32), empty


def _distinct(shingles: Tokens, long: Indices) -> tuple[NDArray[np.uint32], Indices]:
    """The distinct shingles of the long texts, as the low 32 bits of their hashes, and where those of each begin."""
    of_text = np.repeat(np.arange(len(shingles.starts) - 1), np.diff(shingles.starts))
    number = np.full(len(shingles.starts) - 1, -1)
    number[long] = np.arange(len(long))
    is_long = number[of_text] >= 0
    low = shingles.hashes[is_long] & np.uint64(2**32 - 1)
    keys = np.sort((number[of_text[is_long]].astype(np.uint64) << np.uint64(32)) | low)
    keys = keys[np.r_[True, keys[1:] != keys[:-1]]] if len(keys) else keys  # np.unique hashes first, ten times as slow
    starts = np.searchsorted(keys, np.arange(len(long) + 1, dtype=np.uint64) << np.uint64(32))
    return keys.astype(np.uint32), starts
