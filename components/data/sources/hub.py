"""Sources of the kind `hub`: a dataset of the Hugging Face hub, or a folder laid out like one, streamed."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.core.errors import BadData, BadSettings, TryAgain
from components.core.params import suggest
from components.data.sources import readers
from components.data.sources.columns import Columns, records
from components.data.sources.datafile import DataFile, RawRow, on_disk
from components.data.sources.digests import digests
from components.data.sources.rows import Row, numbered_rows, tell
from components.data.sources.source import LIST_ANEW, Source
from components.data.tables.records import Record, Rejected


@dataclass(frozen=True, kw_only=True)
class HubSource(Source, Columns):
    """A split of a dataset; one on the hub needs the `revision` (a commit) that pins it."""

    kind: Literal["hub"]
    dataset: str
    split: str
    subset: str | None = None
    revision: str | None = None

    @property
    def origin(self) -> str:
        if Path(self.dataset).is_dir():
            return f"file:{Path(self.dataset).name}"
        return f"https://huggingface.co/datasets/{self.dataset}@{self.revision}"

    @property
    def local_patterns(self) -> list[str]:
        return [] if self.revision else [self.dataset]

    def local_files(self) -> list[Path]:
        return sorted(path for path in Path(self.dataset).rglob("*") if path.is_file())

    def records(self, listed: Mapping[str, str]) -> Iterator[Record | Rejected]:
        self.check(self.where, self.yields)
        return records(self.rows(listed), self, self.yields)

    def rows(self, listed: Mapping[str, str]) -> Iterator[Row]:
        """The rows of the dataset, before columns are chosen."""
        if not self.revision and not Path(self.dataset).is_dir():
            raise BadSettings(f"{self.where}: `revision` is missing: pin the dataset to one commit of the hub")
        if digests(self.local_files()) != dict(listed):
            raise TryAgain(f"{self.where}: {self.dataset} is no longer as data/listing.json has it: {LIST_ANEW}")
        return _streamed(self) if self.revision else _local(self)


def _local(source: HubSource) -> Iterator[Row]:
    """The rows of the files that `datasets` takes for a split of a folder, read as other files are."""
    notes: dict[str, list[str]] = defaultdict(list)
    number = 0
    for path in _files(source):
        file = DataFile(os.path.relpath(path), *on_disk(path), languages=source.languages)
        for row in numbered_rows(path.name, file, notes):
            number += 1
            yield row._replace(key=f"{source.split}:{number}")
    tell(notes, source.name)


def _files(source: HubSource) -> list[Path]:
    import datasets  # most runs have no source of this kind, and it takes a second to import

    try:
        found = datasets.load_dataset_builder(source.dataset, source.subset).config.data_files
    except (OSError, ValueError) as error:  # among them all of datasets' own
        raise BadSettings(f"{source.where}: {_line(error)}") from error
    if source.split not in found:
        raise BadSettings(
            f"{source.where}: {source.dataset} has no split {source.split}; {suggest(source.split, [*map(str, found)])}"
        )
    taken = {os.path.relpath(path) for paths in found.values() for path in paths}
    for name in map(os.path.relpath, source.local_files()):
        if name not in taken and readers.format_of(name) not in (None, "md"):
            print(f"{source.name}: {name} is not read: `datasets` takes it for none of the splits", flush=True)
    paths = [Path(path) for path in found[source.split]]
    for path in paths:
        readers.check(str(path))
    return paths


def _streamed(source: HubSource) -> Iterator[Row]:
    number = 0
    try:
        for values in _open(source):
            number += 1
            yield Row(f"{source.split}:{number}", f"{source.dataset}, {source.split}", number, values)
    except OSError as error:
        raise TryAgain(f"{source.where}: the hub stopped answering after row {number}: {_line(error)}") from error
    except (ValueError, OverflowError) as error:
        raise BadData(f"{source.where}: {source.dataset} is not readable after row {number}: {_line(error)}") from error


def _open(source: HubSource) -> Iterable[RawRow]:
    import datasets

    try:
        stream: Iterable[RawRow] = datasets.load_dataset(
            source.dataset, source.subset, split=source.split, revision=source.revision, streaming=True
        )
    except (FileNotFoundError, ValueError) as error:
        raise BadSettings(f"{source.where}: {_line(error)}") from error
    except OSError as error:
        raise TryAgain(f"{source.where}: the hub does not answer, try again later: {_line(error)}") from error
    return stream


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
