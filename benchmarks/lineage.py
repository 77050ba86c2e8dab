"""Time to find the steps that read a document, and the documents that a step read.

`python -m benchmarks.lineage [DOCUMENTS ...]` makes an index of so many documents, as the stage `encode` would leave
it, and queries it, each time with the files newly opened. The last line is JSON.
"""

import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.core import id_index
from components.lineage.tokens import TokenIndex
from components.lineage.trainings import RecordedTraining
from components.stages.encode import INDEX, ROWS_PER_GROUP

SIZES = (50_000, 5_000_000)
SHARD = 20_000  # documents
ASKED = 51
READING = {
    "seed": 1,
    "steps": 560,
    "batch_size": 8,
    "length": 256,
    "reach": 257,
    "shares": [["documents", 1.0]],
    "rollbacks": [],
    "skipped_steps": [],
}


def make(folder: Path, documents: int) -> None:
    """Write `index.parquet`, `lookup.npy` and `manifest.json` of documents of 20 to 300 tokens."""
    shards = []
    with pq.ParquetWriter(folder / "index.parquet", INDEX, compression="zstd") as writer:
        for first in range(0, documents, SHARD):
            file = f"train/part-{first // SHARD:05d}.bin"
            lengths = np.random.default_rng(first).integers(20, 300, min(SHARD, documents - first))
            writer.write_table(_rows(first, file, lengths), row_group_size=ROWS_PER_GROUP)
            tokens = int((lengths + 1).sum())
            shards.append({"file": file, "split": "train", "documents": len(lengths), "tokens": tokens})
    id_index.write(folder / "lookup.npy", [identity(number) for number in range(documents)], np.arange(documents))
    (folder / "manifest.json").write_text(json.dumps({"shards": shards}))


def identity(number: int) -> str:
    """The id of a document."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def measure(folder: Path, documents: int) -> dict[str, float]:
    """Milliseconds, the median of some queries."""

    def training() -> RecordedTraining:
        return RecordedTraining("pretrain", {"stage_key": "", "reading": READING}, TokenIndex(folder.joinpath), Path)

    asked = [identity(number * documents // ASKED) for number in range(ASKED)]
    return {
        "documents": documents,
        "document_ms": _median(partial(_of_document, training, document) for document in asked),
        "step_ms": _median(partial(_of_step, training, step) for step in range(1, 10 * ASKED, 10)),
    }


def _of_document(training: Callable[[], RecordedTraining], document: str) -> None:
    training().steps_with_document(document)


def _of_step(training: Callable[[], RecordedTraining], step: int) -> None:
    training().seen(step)


def _median(questions: Iterator[Callable[[], None]]) -> float:
    taken = []
    for ask in questions:
        began = time.perf_counter()
        ask()
        taken.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(taken), 1)


def _rows(first: int, file: str, lengths: np.ndarray) -> pa.Table:
    count = len(lengths)
    columns = [
        [identity(number) for number in range(first, first + count)],
        *([word] * count for word in ("train", "wikipedia", "en", file)),
        np.cumsum(lengths + 1) - (lengths + 1),
        lengths,
        4 * lengths,
    ]
    return pa.table(dict(zip(INDEX.names, columns, strict=True)), INDEX)


def main(sizes: list[int]) -> None:
    figures = []
    for documents in sizes:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), documents)
            figures.append(measure(Path(folder), documents))
        print("{documents:,} documents: {document_ms} ms a document, {step_ms} ms a step".format(**figures[-1]))
    print(json.dumps(figures))


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or list(SIZES))
