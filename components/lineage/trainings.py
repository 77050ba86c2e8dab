"""What a training run saw: the steps that read a document or an example, and everything that a step read."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from components.core import id_index
from components.core.errors import BadSettings
from components.lineage.tokens import EncodedDocument, Files, TokenIndex
from components.training.data import source_mix
from components.training.data.data_order import Reading, Table
from components.training.data.windows import order, places


@dataclass(frozen=True)
class ReadRow:
    """A document or an example that a step read, with the number of its tokens there."""

    id: str
    table: Table
    source: str
    tokens: int


class RecordedTraining:
    """A finished training run: `facts` are its training.json, `reports` the files that it wrote next to its curves."""

    def __init__(self, stage: str, facts: Mapping[str, Any], tokens: TokenIndex, reports: Files) -> None:
        self.stage, self.key = stage, str(facts["stage_key"])
        self.start: int | None = facts["start"]["version"] if "start" in facts else None  # the version it went on from
        self.reading = TypeAdapter(Reading).validate_json(json.dumps(facts["reading"]))
        self._tokens, self._reports = tokens, reports

    def steps_with_document(self, beginning: str) -> list[int]:
        """The steps that read some of a document, ascending, without those that were rolled back."""
        tables = [table for table, share in self.reading.shares if table != "examples" and share]
        documents = self._tokens.find(beginning)
        return sorted({step for document in documents for table in tables for step in self._steps(document, table)})

    def steps_with_example(self, beginning: str) -> list[int]:
        """The steps that read an example, ascending."""
        if not dict(self.reading.shares).get("examples"):
            return []
        return sorted({int(step) for step in id_index.find(self._reports("examples.npy"), beginning)})

    def seen(self, step: int) -> list[ReadRow]:
        """What a step read: each document or example once, in the order in which they are in the rows."""
        if not 1 <= step <= self.reading.steps:
            raise BadSettings(f"{self.stage} has the steps 1 to {self.reading.steps}: there is no step {step}")
        rows = self._examples(step) if self.reading.table(step) == "examples" else self._documents(step)
        found: dict[str, ReadRow] = {}
        for row in rows:
            before = found[row.id].tokens if row.id in found else 0
            found[row.id] = replace(row, tokens=before + row.tokens)
        return list(found.values())

    def document(self, beginning: str) -> list[EncodedDocument]:
        """The document whose id begins with `beginning`, or its parts."""
        return self._tokens.find(beginning)

    def _steps(self, document: EncodedDocument, table: Table) -> Iterator[int]:
        """The steps on a table that read some of a document."""
        reading = self.reading
        read = self._places(document, table)
        batches = np.unique(read // reading.batch_size) * reading.batch_size
        steps = (reading.step_at(place, table) for place in batches.tolist())
        yield from (step for step in steps if step is not None)

    def _places(self, document: EncodedDocument, table: Table) -> np.ndarray:
        """The places among the rows of a table where some of a document was read."""
        reading, end = self.reading, self.reading.own_end(table)
        if reading.phases is not None:
            source = document.source
            windows = self._tokens.windows(document, reading, table, source)
            sizes = self._tokens.sizes(reading)
            return source_mix.places_of(source, windows, reading.phases, sizes, reading.seed, end)
        windows = self._tokens.windows(document, reading, table)
        size = self._tokens.count(reading, table)
        return places(windows, -(-end // size), size, reading.seed) if len(windows) else windows

    def _documents(self, step: int) -> Iterator[ReadRow]:
        table = self.reading.table(step)
        for source, window in self._windows(step, table):
            for document, inside in self._tokens.documents(window, self.reading, table, source):
                yield ReadRow(document.id, "documents", document.source, inside)

    def _windows(self, step: int, table: Table) -> list[tuple[str | None, int]]:
        """The windows that a step read of a table: by their numbers in it, or in a source."""
        reading, read = self.reading, self.reading.own_places(step)
        if reading.phases is not None:
            return [*source_mix.rows_at(read, reading.phases, self._tokens.sizes(reading), reading.seed)]
        size = self._tokens.count(reading, table)
        return [(None, window) for window in order(read, size, reading.seed).tolist()]

    def _examples(self, step: int) -> Iterator[ReadRow]:
        for group in range(self._taken.num_row_groups):
            known = self._taken.metadata.row_group(group).column(0).statistics
            if known.min <= step <= known.max:
                table = self._taken.read_row_group(group)
                steps = np.from_dlpack(table["step"].combine_chunks())  # ascending; pyarrow's filter imports pandas
                first, last = np.searchsorted(steps, [step, step + 1])
                for row in table.slice(first, last - first).to_pylist():
                    yield ReadRow(row["example"], "examples", row["source"], row["tokens"])

    @cached_property
    def _taken(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._reports("examples.parquet"))
