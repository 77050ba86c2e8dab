"""The base class of sources: the fields that every entry of the catalogue has, whatever its kind."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple

from annotated_types import Gt, Interval, Len

from components.data.tables.records import Record, Rejected

LIST_ANEW = "run `lmforge plan`, which lists it anew, then again"


class Portion(NamedTuple):
    """What can be read of a source without the rest: what tells its content, and its records."""

    content: str
    records: Callable[[], Iterator[Record | Rejected]]


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """One entry of the catalogue."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    divisible: ClassVar[bool] = False  # whether some of its local files can be read without the others

    name: str
    license: str  # an SPDX id, as the publisher states it
    languages: Annotated[tuple[str, ...], Len(1)]  # a row without a language of its own has the only one of these
    yields: Annotated[tuple[str, ...], Len(1)]  # what is taken from it: `documents`, and names of tasks
    cap_mb: Annotated[float, Gt(0)] | None = None  # of the documents' text; the first ones are kept
    max_bad_rows: Annotated[float, Interval(ge=0, le=1)] | None = None  # as the setting of `ingest`, for this source

    @property
    def where(self) -> str:
        """The beginning of error lines."""
        return f"source `{self.name}`"

    @property
    @abstractmethod
    def origin(self) -> str:
        """Where the rows come from, in a form that is the same on every machine."""

    @property
    def local_patterns(self) -> list[str]:
        """The paths or shell patterns of its local files."""
        return []

    def local_files(self) -> list[Path]:
        """The local files that no pin covers, sorted. Raises `BadSettings` when there is none."""
        return []

    @abstractmethod
    def records(self, listed: Mapping[str, str]) -> Iterator[Record | Rejected]:
        """The records, in an order that never changes, and the rows that make none.

        Of local files only the listed ones are read, path -> sha256. Raises `BadSettings`, `BadData` or `TryAgain`.
        """

    def portions(self, listed: Mapping[str, str]) -> Iterator[Portion]:
        """The records in portions that are read one by one, in the same order: here all of them, which pins tell."""
        yield Portion(json.dumps(sorted(listed.items())), lambda: self.records(listed))
