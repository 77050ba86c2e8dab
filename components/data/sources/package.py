"""Sources of the kind `package`: data files inside a pinned wheel or sdist."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, make_dataclass
from functools import partial
from typing import Annotated, Any, Literal, get_type_hints

from annotated_types import Len

from components.core import params
from components.core.errors import BadSettings
from components.data.parsers import PARSERS, Parser
from components.data.sources import readers
from components.data.sources.archive import Archive, open_archive
from components.data.sources.columns import Columns, records
from components.data.sources.index import fetch
from components.data.sources.readers import DataFile, Format
from components.data.sources.rows import Row
from components.data.sources.source import Source
from components.data.tables.records import Record


@dataclass(frozen=True, kw_only=True)
class PackageSource(Source, Columns):
    """A file of the package index, and which of its members are files of rows, or the parser that reads them."""

    kind: Literal["package"]
    project: str
    version: str
    filename: str
    sha256: Annotated[str, Len(64, 64)]
    members: str | None = None  # a shell pattern
    columns: Annotated[tuple[str, ...], Len(1)] | None = None  # of CSV and TSV without a header, and of CoNLL
    format: Format | None = None  # where the endings of the members say none, or another one
    parser: str | None = None
    options: dict[str, Any] = field(default_factory=dict)  # the parser's own

    @property
    def origin(self) -> str:
        return f"pkg:pypi/{self.project}@{self.version}"  # a package URL, https://github.com/package-url

    def records(self, listed: Mapping[str, str]) -> Iterator[Record]:  # noqa: ARG002, all of it is pinned
        if (self.parser is None) == (self.members is None):
            raise BadSettings(f"{self.where}: needs `members` with sections of columns, or else a `parser`")
        if self.parser is not None:
            parser = _parser(self.parser, self.options, self.where)
            return parser(self._archive(), **self.options)
        self.check(self.where)
        return records(self._rows(self._archive()), self)

    def _archive(self) -> Archive:
        return open_archive(fetch(self.project, self.filename, self.sha256, self.where))

    def _rows(self, archive: Archive) -> Iterator[Row]:
        members = archive.names(self.members or "")
        for member in members if self.format is None else ():
            readers.check(member)
        for member in members:
            file = DataFile.in_memory(member, partial(archive.read, member), self.columns, self.format)
            for number, values in readers.read(file):
                yield Row(f"{member}:{number}", f"{self.where}: {member}, row {number}", values)


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
