"""From a document to the windows that contain its tokens, and back: by the index that the stage `encode` wrote."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.core import id_index
from components.training.data import windows
from components.training.data.data_order import Reading, Table

SPLIT = "train"
COLUMNS = ["document", "source", "language", "offset", "length"]

Files = Callable[[str], Path]
"""Maps the name of a file in a folder to its path."""


@dataclass(frozen=True)
class EncodedDocument:
    """A document and where its tokens are: `length` of them from `offset` on, without those around it."""

    id: str
    source: str
    language: str | None
    offset: int
    length: int
    split: str
    shard: str


class TokenIndex:
    """The documents of a folder of tokens. Opening it reads almost nothing; a search reads some thousand rows."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._tables: dict[int, pa.Table] = {}

    def find(self, beginning: str) -> list[EncodedDocument]:
        """The document whose id begins with `beginning`: one that was divided as its parts, in their order.

        Raises `BadSettings` when there are several documents.
        """
        rows = map(self._document, id_index.find(self._files("lookup.npy"), beginning).tolist())
        near, beginning = list(rows), beginning.lower()
        found = [document for document in near if document.id.startswith(beginning)]
        return found or [document for document in near if id_index.is_part(document.id, beginning)]

    def windows(
        self, document: EncodedDocument, reading: Reading, table: Table, source: str | None = None
    ) -> np.ndarray:
        """The windows of a table of a training run that contain some of its tokens; empty when it is not in there.

        With a source, they are numbered among those of that source.
        """
        files = [self._file(number) for number in self._chosen(table, source)]
        if document.shard not in files or not document.length:
            return np.arange(0)
        place = files.index(document.shard)
        ends = self._ends(reading, table, source)
        before = int(ends[place - 1]) if place else 0
        # Window w of a shard has the tokens from w * length to w * length + reach.
        first = max(0, -(-(document.offset - reading.reach + 1) // reading.length))
        last = (document.offset + document.length - 1) // reading.length
        return np.arange(before + first, min(before + last + 1, int(ends[place])))

    def documents(
        self, window: int, reading: Reading, table: Table, source: str | None = None
    ) -> Iterator[tuple[EncodedDocument, int]]:
        """The documents in a window of a table, or of a source in it, in order, each with the number of its tokens."""
        ends, chosen = self._ends(reading, table, source), self._chosen(table, source)
        place = int(np.searchsorted(ends, window, side="right"))
        start = (window - (int(ends[place - 1]) if place else 0)) * reading.length
        stop = start + reading.reach
        for row in range(self._row(chosen[place], start), int(self._first_rows[chosen[place] + 1])):
            document = self._document(row)
            if document.offset >= stop:
                return
            inside = min(stop, document.offset + document.length) - max(start, document.offset)
            if inside > 0:
                yield document, inside

    def count(self, reading: Reading, table: Table) -> int:
        """The number of windows in a table of a training run."""
        return int(self._ends(reading, table)[-1])

    def sizes(self, reading: Reading) -> dict[str, int]:
        """The number of windows of each source."""
        sources = dict.fromkeys(str(shard["source"]) for shard in self._shards if shard["split"] == SPLIT)
        return {name: int(self._ends(reading, "documents", name)[-1]) for name in sources}

    @cached_property
    def _shards(self) -> list[dict[str, Any]]:
        shards: list[dict[str, Any]] = json.loads(self._files("manifest.json").read_text())["shards"]
        return shards

    def _chosen(self, table: Table, source: str | None = None) -> list[int]:
        """The numbers of the train shards with the documents of a table, or of a source in it."""
        shards = enumerate(self._shards)
        return [number for number, shard in shards if shard["split"] == SPLIT and windows.in_part(shard, table, source)]

    @cached_property
    def _first_rows(self) -> np.ndarray:
        """The row of the first document of each shard, and after them the number of all rows."""
        return np.cumsum([0, *(shard["documents"] for shard in self._shards)])

    @cached_property
    def _parquet(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._files("index.parquet"))

    @cached_property
    def _groups(self) -> np.ndarray:
        """The first row of each row group, and after them the number of all rows; no group has rows of two shards."""
        metadata = self._parquet.metadata
        return np.cumsum([0, *(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))])

    def _ends(self, reading: Reading, table: Table, source: str | None = None) -> np.ndarray:
        return windows.ends([self._shards[number]["tokens"] for number in self._chosen(table, source)], reading.length)

    def _file(self, number: int) -> str:
        return str(self._shards[number]["file"])

    def _row(self, shard: int, token: int) -> int:
        """The row of the document at a token of a shard."""
        first, last = np.searchsorted(self._groups, self._first_rows[[shard, shard + 1]])
        metadata = self._parquet.metadata
        column = metadata.schema.names.index("offset")
        starts = [metadata.row_group(group).column(column).statistics.min for group in range(first, last)]
        group = int(first) + max(0, int(np.searchsorted(starts, token, side="right")) - 1)
        offsets = np.from_dlpack(self._table(group)["offset"].combine_chunks())  # to_numpy would import pandas
        return int(self._groups[group]) + max(0, int(np.searchsorted(offsets, token, side="right")) - 1)

    def _document(self, row: int) -> EncodedDocument:
        group = int(np.searchsorted(self._groups, row, side="right")) - 1
        shard = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        split, file = self._shards[shard]["split"], self._file(shard)
        table, place = self._table(group), row - int(self._groups[group])
        document, source, language, offset, length = (table[name][place].as_py() for name in COLUMNS)
        return EncodedDocument(document, source, language, offset, length, split, file)

    def _table(self, group: int) -> pa.Table:
        if group not in self._tables:
            self._tables[group] = self._parquet.read_row_group(group, columns=COLUMNS)
        return self._tables[group]
